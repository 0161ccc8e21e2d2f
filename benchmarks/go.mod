module github.com/eventdispatcher-go/eventdispatcher/benchmarks

go 1.26.0

require (
	github.com/cloudwego/netpoll v0.7.2
	github.com/eventdispatcher-go/eventdispatcher v0.0.0
	github.com/fsnotify/fsnotify v1.10.1
	golang.org/x/sys v0.49.0
	google.golang.org/grpc v1.85.0
	google.golang.org/protobuf v1.36.12
)

require (
	github.com/bytedance/gopkg v0.1.1 // indirect
	github.com/cloudwego/gopkg v0.1.4 // indirect
	github.com/sirupsen/logrus v1.10.2 // indirect
	golang.org/x/net v0.60.0 // indirect
	golang.org/x/text v0.42.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260817212433-ac3dfec99bb1 // indirect
)

replace github.com/eventdispatcher-go/eventdispatcher => ..
