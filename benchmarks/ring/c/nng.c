/*
 * NNG: two pair0 sockets over ipc. The buffers of the sockets hold 128 messages each way: by default they hold none. A
 * message is read where the library has received it, and an echo sends back the message that came. window.h has the
 * flags.
 */
#define _GNU_SOURCE
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>

#include "window.h"

enum { QUEUE = 128 };

static uint64_t message[MAX_SIZE / 8];

static void ok(const char *what, int err)
{
	if (err) {
		fprintf(stderr, "%s: %s\n", what, nng_strerror(err));
		exit(1);
	}
}

static nng_msg *receive(nng_socket s)
{
	nng_msg *m;
	ok("nng_recvmsg", nng_recvmsg(s, &m, 0));
	return m;
}

static void send_copy(nng_socket s, size_t size)
{
	nng_msg *m;
	ok("nng_msg_alloc", nng_msg_alloc(&m, size));
	memcpy(nng_msg_body(m), message, size);
	ok("nng_sendmsg", nng_sendmsg(s, m, 0));
}

static void serve(const struct options *o, nng_socket s)
{
	pattern(message, o->size);
	for (;;) {
		if (o->flow) {
			ping(message, served);
			spoil(o, served, message);
			send_copy(s, o->size);
			served++;
			continue;
		}
		nng_msg *m = receive(s);
		spoil(o, served, nng_msg_body(m));
		served++;
		ok("nng_sendmsg", nng_sendmsg(s, m, 0));
	}
}

static void measure(const struct options *o, nng_socket s)
{
	struct window w = new_window(o);
	uint64_t rest = pattern(message, o->size), number = 0;
	for (bool more = true; more; number++) {
		nng_msg *m;
		if (o->flow) {
			m = receive(s);
			check(o, nng_msg_body(m), nng_msg_len(m), number, rest);
			more = passed(&w);
		} else {
			ping(message, number);
			int64_t sent = now_ns();
			send_copy(s, o->size);
			m = receive(s);
			int64_t now = now_ns();
			if (nng_msg_len(m) != o->size || memcmp(nng_msg_body(m), message, o->size))
				refuse("wrong bytes");
			more = answered(&w, sent, now);
		}
		nng_msg_free(m);
	}
	report(&w);
}

int main(int argc, char **argv)
{
	struct options o = parse(argc, argv);
	char url[256];
	if ((size_t)snprintf(url, sizeof url, "ipc://%s", o.path) >= sizeof url)
		refuse("the path is too long");
	nng_socket s;
	ok("nng_pair0_open", nng_pair0_open(&s));
	ok("buffer", nng_socket_set_int(s, NNG_OPT_SENDBUF, QUEUE));
	ok("buffer", nng_socket_set_int(s, NNG_OPT_RECVBUF, QUEUE));
	if (o.client) {
		ok("nng_dial", nng_dial(s, url, NULL, 0));
		measure(&o, s);
		fflush(stdout);
		_exit(0); /* without waiting for the library's threads */
	}
	ok("nng_listen", nng_listen(s, url, NULL, 0));
	listening(&o);
	serve(&o, s);
}
