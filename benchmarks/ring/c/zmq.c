/*
 * ZeroMQ: two PAIR sockets over ipc, nothing tuned. A message is read where the library has received it, and an echo
 * sends back the message that came. window.h has the flags.
 */
#define _GNU_SOURCE
#include <zmq.h>

#include "window.h"

static uint64_t message[MAX_SIZE / 8];

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, zmq_strerror(zmq_errno()));
	exit(1);
}

static void receive(void *socket, zmq_msg_t *m)
{
	if (zmq_msg_recv(m, socket, 0) < 0)
		fail("zmq_msg_recv");
}

static void send_copy(void *socket, size_t size)
{
	if (zmq_send(socket, message, size, 0) < 0)
		fail("zmq_send");
}

static void serve(const struct options *o, void *socket)
{
	zmq_msg_t m;
	zmq_msg_init(&m);
	pattern(message, o->size);
	for (;;) {
		if (o->flow) {
			ping(message, served);
			spoil(o, served, message);
			send_copy(socket, o->size);
			served++;
			continue;
		}
		receive(socket, &m);
		spoil(o, served, zmq_msg_data(&m));
		served++;
		if (zmq_msg_send(&m, socket, 0) < 0)
			fail("zmq_msg_send");
	}
}

static void measure(const struct options *o, void *socket)
{
	struct window w = new_window(o);
	uint64_t rest = pattern(message, o->size), number = 0;
	zmq_msg_t m;
	zmq_msg_init(&m);
	for (bool more = true; more; number++) {
		if (o->flow) {
			receive(socket, &m);
			check(o, zmq_msg_data(&m), zmq_msg_size(&m), number, rest);
			more = passed(&w);
			continue;
		}
		ping(message, number);
		int64_t sent = now_ns();
		send_copy(socket, o->size);
		receive(socket, &m);
		int64_t now = now_ns();
		if (zmq_msg_size(&m) != o->size || memcmp(zmq_msg_data(&m), message, o->size))
			refuse("wrong bytes");
		more = answered(&w, sent, now);
	}
	report(&w);
}

int main(int argc, char **argv)
{
	struct options o = parse(argc, argv);
	char url[256];
	if ((size_t)snprintf(url, sizeof url, "ipc://%s", o.path) >= sizeof url)
		refuse("the path is too long");
	void *context = zmq_ctx_new(), *socket = zmq_socket(context, ZMQ_PAIR);
	if (!socket)
		fail("zmq_socket");
	if (o.client) {
		if (zmq_connect(socket, url) < 0)
			fail("zmq_connect");
		measure(&o, socket);
		return 0; /* without waiting for what may still be in the socket */
	}
	if (zmq_bind(socket, url) < 0)
		fail("zmq_bind");
	listening(&o);
	serve(&o, socket);
}
