// Command grpc is google.golang.org/grpc with protobuf on a Unix socket, without
// encryption, as its own examples set it up: no option but the defaults.
package main

import (
	"context"
	"log"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/peer"
	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/store"
	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/store/storepb"
)

type server struct {
	storepb.UnimplementedStoreServer
}

func (server) FetchUser(_ context.Context, q *storepb.Query) (*storepb.User, error) {
	if q.GetLang() == "" || q.GetLimit() == "" {
		return nil, status.Error(codes.InvalidArgument, store.ErrMissing.Error())
	}
	return &storepb.User{
		City: q.GetCity(), Email: store.Email, Id: q.GetId(), Name: store.Name, Session: q.GetSession(),
	}, nil
}

func main() {
	if err := serve(); err != nil {
		log.Fatal(err)
	}
}

func serve() error {
	path, err := peer.Path()
	if err != nil {
		return err
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	s := grpc.NewServer()
	storepb.RegisterStoreServer(s, server{})
	peer.Listening(path)
	return s.Serve(ln)
}
