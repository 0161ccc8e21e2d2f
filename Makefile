.PHONY: help test race lint fuzz bench tour cover clean ci

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

test: ## run the tests
	go test ./...

race: ## run the tests twice, shuffled, under the race detector
	go test -race -shuffle=on -count=2 ./...

lint: ## run golangci-lint in the pinned version
	.ci/lint

fuzz: ## fuzz each target for a while: make fuzz EACH=1m
	.ci/fuzz $(or $(EACH),10s)

bench: ## run the benchmarks of the packages; benchmarks/ compares with others
	go test -run '^$$' -bench . -benchmem ./...

tour: ## run the example that shows everything once
	go run ./examples/tour

cover: ## write coverage.html and print the total
	go test -coverpkg=./... -coverprofile=coverage.out ./...
	go tool cover -html=coverage.out -o coverage.html
	go tool cover -func=coverage.out | tail -n 1

ci: ## run everything that a change has to pass
	.ci/run

clean: ## remove what the above leave behind
	rm -f coverage.out coverage.html
