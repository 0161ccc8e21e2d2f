package main

import (
	"context"
	"fmt"
	"net/rpc"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/store"
	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/store/storepb"
	"github.com/eventdispatcher-go/eventdispatcher/benchmarks/internal/window"
)

// caller is a connection of an RPC system.
type caller interface {
	call(q *store.Query) (store.User, error)
}

type gobClient struct{ client *rpc.Client }

func dialGob(path string) (gobClient, error) {
	client, err := rpc.Dial("unix", path)
	return gobClient{client}, err
}

func (c gobClient) call(q *store.Query) (u store.User, err error) {
	err = c.client.Call("Store.FetchUser", q, &u)
	return u, err
}

type grpcClient struct{ client storepb.StoreClient }

func dialGRPC(path string) (grpcClient, error) {
	conn, err := grpc.NewClient("unix:"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
	return grpcClient{storepb.NewStoreClient(conn)}, err
}

func (c grpcClient) call(q *store.Query) (store.User, error) {
	u, err := c.client.FetchUser(context.Background(),
		&storepb.Query{City: q.City, Id: q.ID, Lang: q.Lang, Limit: q.Limit, Session: q.Session})
	return store.User{City: u.GetCity(), Email: u.GetEmail(), ID: u.GetId(), Name: u.GetName(), Session: u.GetSession()}, err
}

// closedLoop makes calls until the window is over, on a goroutine a connection. The
// connections end with the process.
func closedLoop(w *window.Window, conns int, dial func() (caller, error)) error {
	callers := make([]caller, conns)
	for i := range callers {
		c, err := dial()
		if err == nil {
			err = fetch(c, session(i), firstID+i) // gRPC connects with the first call
		}
		if err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
		callers[i] = c
	}
	w.Started()
	ended := make(chan error, conns)
	for i, c := range callers {
		go func() {
			session := session(i)
			for id := firstID + i + conns; ; id += conns {
				sent := w.Now()
				if err := fetch(c, session, id); err != nil {
					ended <- fmt.Errorf("connection %d: %w", i, err)
					return
				}
				if !w.Answered(sent, w.Now()) {
					ended <- nil
					return
				}
			}
		}()
	}
	for range conns {
		if err := <-ended; err != nil {
			return err
		}
	}
	return nil
}

// fetch makes a call and checks the reply.
func fetch(c caller, session string, id int) error {
	q := store.Query{City: city, ID: strconv.Itoa(id), Lang: lang, Limit: limit, Session: session}
	u, err := c.call(&q)
	if err != nil {
		return err
	}
	if want := expected(&q); u != want {
		return fmt.Errorf("wrong reply: %+v, want %+v", u, want)
	}
	return nil
}
