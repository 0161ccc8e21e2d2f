module github.com/eventdispatcher-go/eventdispatcher

go 1.26.0

require (
	github.com/google/go-cmp v0.7.0 // indirect
	github.com/sirupsen/logrus v1.10.2 // indirect
	github.com/spf13/pflag v1.0.10 // indirect
	golang.org/x/sys v0.49.0 // indirect
)
