// Package store has what the servers and the load generator of the benchmark call
// agree on: a service that looks a user up. In the text language a call is
//
//	<web1:frontend db1:store/FETCH_USER city=Berlin;id=100042;lang=de;limit=10;session=a81f5c
//	web1:frontend/USER city=Berlin;email=ada@example.org;id=100042;name=Ada Lovelace;session=a81f5c
//
// and for the others the same five strings each way. Nothing is looked up in
// truth: a server decodes all five, refuses a call in which lang or limit is
// missing, and gives city, id and session back.
package store

import "errors"

// What is the same in every reply.
const (
	Email = "ada@example.org"
	Name  = "Ada Lovelace"
)

// ErrMissing is the refusal of a call without lang or limit.
var ErrMissing = errors.New("lang or limit is missing")

// Query is a request, as net/rpc sends it.
type Query struct {
	City, ID, Lang, Limit, Session string
}

// User is a reply, as net/rpc sends it.
type User struct {
	City, Email, ID, Name, Session string
}

// Fetch answers a request.
func (q *Query) Fetch() (User, error) {
	if q.Lang == "" || q.Limit == "" {
		return User{}, ErrMissing
	}
	return User{City: q.City, Email: Email, ID: q.ID, Name: Name, Session: q.Session}, nil
}
