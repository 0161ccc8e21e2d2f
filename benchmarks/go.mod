module github.com/eventdispatcher-go/eventdispatcher/benchmarks

go 1.26.0

require (
	github.com/cloudwego/netpoll v0.7.2
	github.com/eventdispatcher-go/eventdispatcher v0.0.0
	golang.org/x/sys v0.49.0
)

require (
	github.com/bytedance/gopkg v0.1.1 // indirect
	github.com/cloudwego/gopkg v0.1.4 // indirect
	github.com/sirupsen/logrus v1.10.2 // indirect
)

replace github.com/eventdispatcher-go/eventdispatcher => ..
