/*
 * The two bare mechanisms of the kernel between two processes, with blocking read and write and nothing else. window.h
 * has the flags.
 *
 *   -k eventfd   two eventfds, echo only: 8 bytes, which are the number of the message plus 1; -s has no meaning
 *   -k pipe      two pipes
 *
 * The server makes the descriptors and passes them by SCM_RIGHTS on its Unix socket.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "window.h"

enum { BUFFER = 64 << 10 };

/* ends are what one process reads and writes. */
struct ends {
	int in, out;
};

static _Alignas(64) char buffer[BUFFER];

static int unix_socket(const struct options *o, struct sockaddr_un *addr)
{
	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(o->path) >= sizeof addr->sun_path)
		refuse("the path is too long");
	strcpy(addr->sun_path, o->path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("socket");
	return fd;
}

/* transfer sends or receives the ends of the client. */
static void transfer(int fd, struct ends *e, bool send)
{
	char byte = 0;
	struct iovec io = { &byte, 1 };
	union {
		char space[CMSG_SPACE(sizeof *e)];
		struct cmsghdr align;
	} u = { 0 };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = u.space, .msg_controllen = sizeof u.space };
	if (send) {
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		*c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof *e), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(c), e, sizeof *e);
		if (sendmsg(fd, &m, 0) != 1)
			die("sendmsg");
		return;
	}
	if (recvmsg(fd, &m, 0) != 1)
		die("recvmsg");
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	if (!c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof *e))
		refuse("no descriptors came");
	memcpy(e, CMSG_DATA(c), sizeof *e);
}

static struct ends serve_one(const struct options *o, bool pipes)
{
	struct sockaddr_un addr;
	int fd = unix_socket(o, &addr);
	if (bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0 || listen(fd, 1) < 0)
		die("listen");
	listening(o);
	int client = accept(fd, NULL, NULL);
	if (client < 0)
		die("accept");
	struct ends ours, theirs;
	if (pipes) {
		int a[2], b[2];
		if (pipe(a) < 0 || pipe(b) < 0)
			die("pipe");
		ours = (struct ends){ .in = a[0], .out = b[1] };
		theirs = (struct ends){ .in = b[0], .out = a[1] };
		transfer(client, &theirs, true);
		close(theirs.in);
		close(theirs.out);
	} else {
		ours = (struct ends){ .in = eventfd(0, 0), .out = eventfd(0, 0) };
		if (ours.in < 0 || ours.out < 0)
			die("eventfd");
		theirs = (struct ends){ .in = ours.out, .out = ours.in };
		transfer(client, &theirs, true);
	}
	close(client);
	close(fd);
	return ours;
}

static struct ends dial(const struct options *o)
{
	struct sockaddr_un addr;
	struct ends e;
	int fd = unix_socket(o, &addr);
	if (connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
		die("connect");
	transfer(fd, &e, false);
	close(fd);
	return e;
}

/* read_all and write_all return false when the other side has gone. */
static bool read_all(int fd, void *p, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t r = read(fd, (char *)p + done, n - done);
		if (r < 0)
			die("read");
		if (r == 0)
			return false;
		done += (size_t)r;
	}
	return true;
}

static bool write_all(int fd, const void *p, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t r = write(fd, (const char *)p + done, n - done);
		if (r < 0 && errno == EPIPE)
			return false;
		if (r < 0)
			die("write");
		done += (size_t)r;
	}
	return true;
}

static void echo_server(const struct options *o, struct ends e, size_t size)
{
	static char message[MAX_SIZE];
	while (read_all(e.in, message, size)) {
		if (served + 1 == o->spoil)
			message[size - 1] ^= 1;
		served++;
		if (!write_all(e.out, message, size))
			break;
	}
	wait_for_term();
}

static void echo_client(const struct options *o, struct ends e, size_t size)
{
	static uint64_t message[MAX_SIZE / 8], reply[MAX_SIZE / 8];
	struct window w = new_window(o);
	pattern(message, size);
	bool more = true;
	for (uint64_t i = 0; more; i++) {
		ping(message, i + 1); /* an eventfd takes no 0 */
		int64_t sent = now_ns();
		if (!write_all(e.out, message, size) || !read_all(e.in, reply, size))
			refuse("the server closed");
		int64_t now = now_ns();
		if (memcmp(message, reply, size))
			refuse("wrong bytes");
		more = answered(&w, sent, now);
	}
	report(&w);
}

static void flow_server(const struct options *o, struct ends e)
{
	static uint64_t message[MAX_SIZE / 8];
	pattern(message, o->size);
	for (;; served++) {
		ping(message, served);
		spoil(o, served, message);
		if (!write_all(e.out, message, o->size))
			wait_for_term();
	}
}

/* flow_client takes messages in the pieces in which they come. */
static void flow_client(const struct options *o, struct ends e)
{
	static uint64_t message[MAX_SIZE / 8];
	struct window w = new_window(o);
	uint64_t rest = pattern(message, o->size), sum = 0, number = 0;
	size_t kept = 0, at = 0; /* bytes of half a word in the buffer; bytes of the message so far */
	for (;;) {
		ssize_t r = read(e.in, buffer + kept, sizeof buffer - kept);
		if (r < 0)
			die("read");
		if (r == 0)
			refuse("the server closed");
		size_t have = kept + (size_t)r, from = 0;
		while (have - from >= 8) {
			size_t n = (have - from) & ~(size_t)7;
			if (n > o->size - at)
				n = o->size - at;
			if (at == 0 && memcmp(buffer + from, &number, 8))
				refuse("a message is missing, or comes twice");
			sum += add_up(buffer + from, n);
			from += n;
			at += n;
			if (at < o->size)
				continue;
			if (sum != number + rest)
				refuse("wrong bytes");
			number++;
			at = 0;
			sum = 0;
			if (!passed(&w)) {
				report(&w);
				return;
			}
		}
		kept = have - from;
		memmove(buffer, buffer + from, kept);
	}
}

int main(int argc, char **argv)
{
	struct options o = parse(argc, argv);
	bool pipes = !strcmp(o.kind, "pipe");
	if (!pipes && (strcmp(o.kind, "eventfd") || o.flow))
		refuse("usage: -k pipe, or -k eventfd with -m echo");
	size_t size = pipes ? o.size : 8;
	struct ends e = o.client ? dial(&o) : serve_one(&o, pipes);
	if (o.client)
		(o.flow ? flow_client(&o, e) : echo_client(&o, e, size));
	else
		(o.flow ? flow_server(&o, e) : echo_server(&o, e, size));
	return 0;
}
