/*
 * A plain echo server over TCP or a Unix socket: one thread, one level-triggered epoll set, read
 * then write. It is the baseline (1.00) of the tables in README.md, so it has
 * what a correct server needs (partial writes wait for EPOLLOUT, reading pauses
 * meanwhile) and nothing else.
 *
 *   echo [-p PORT | -u PATH] [-s SIZE] [-w MICROS]
 *
 * -p  port on 127.0.0.1; 0, the default, lets the kernel choose
 * -u  path of a Unix stream socket, which must not exist
 * -s  bytes in one request, default 64; only used to count requests for -w
 * -w  microseconds of busy work for each request, default 0
 *
 * "listening tcp 127.0.0.1:PORT", or "listening unix PATH", on standard output
 * says that it is ready.
 * It runs until a signal ends it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FD = 65536, BUFFER = 64 << 10, BATCH = 1024 };

struct conn {
	size_t part;     /* bytes of an incomplete request read so far */
	char *out;       /* what the kernel did not take, NULL when it took all */
	size_t len, off; /* of out */
};

static struct conn conns[MAX_FD];
static char buffer[BUFFER];
static int ep, listener;
static const char *path; /* of the Unix socket, NULL for TCP */
static size_t request_size = 64;
static long work_ns;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void watch(int op, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };
	if (epoll_ctl(ep, op, fd, &ev) < 0)
		die("epoll_ctl");
}

static void drop(int fd)
{
	free(conns[fd].out);
	conns[fd] = (struct conn){ 0 };
	close(fd);
}

static void accept_some(void)
{
	for (int i = 0; i < 64; i++) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
				return;
			die("accept4");
		}
		if (fd >= MAX_FD) {
			close(fd);
			continue;
		}
		int on = 1;
		if (!path)
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		watch(EPOLL_CTL_ADD, fd, EPOLLIN);
	}
}

static void work(struct conn *c, size_t n)
{
	c->part += n;
	for (; c->part >= request_size; c->part -= request_size)
		for (int64_t end = now_ns() + work_ns; now_ns() < end;)
			;
}

static void readable(int fd)
{
	struct conn *c = &conns[fd];
	ssize_t n = read(fd, buffer, sizeof buffer);
	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			drop(fd);
		return;
	}
	if (work_ns)
		work(c, n);
	ssize_t w = write(fd, buffer, n);
	if (w == n)
		return;
	if (w < 0) {
		if (errno != EAGAIN && errno != EINTR) {
			drop(fd);
			return;
		}
		w = 0;
	}
	c->len = n - w;
	c->off = 0;
	c->out = malloc(c->len);
	if (!c->out)
		die("malloc");
	memcpy(c->out, buffer + w, c->len);
	watch(EPOLL_CTL_MOD, fd, EPOLLOUT);
}

static void writable(int fd)
{
	struct conn *c = &conns[fd];
	ssize_t w = write(fd, c->out + c->off, c->len - c->off);
	if (w < 0) {
		if (errno != EAGAIN && errno != EINTR)
			drop(fd);
		return;
	}
	c->off += w;
	if (c->off < c->len)
		return;
	free(c->out);
	c->out = NULL;
	watch(EPOLL_CTL_MOD, fd, EPOLLIN);
}

int main(int argc, char **argv)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	for (int o; (o = getopt(argc, argv, "p:u:s:w:")) != -1;) {
		switch (o) {
		case 'p': sa.sin_port = htons(atoi(optarg)); break;
		case 'u': path = optarg; break;
		case 's': request_size = atoi(optarg); break;
		case 'w': work_ns = atol(optarg) * 1000; break;
		default: return 2;
		}
	}
	if (request_size < 1 || (path && strlen(path) >= sizeof un.sun_path))
		return 2;
	signal(SIGPIPE, SIG_IGN);
	struct rlimit lim;
	getrlimit(RLIMIT_NOFILE, &lim);
	lim.rlim_cur = lim.rlim_max;
	setrlimit(RLIMIT_NOFILE, &lim);

	struct sockaddr *addr = (struct sockaddr *)&sa;
	socklen_t len = sizeof sa;
	if (path) {
		strcpy(un.sun_path, path);
		addr = (struct sockaddr *)&un;
		len = sizeof un;
	}
	listener = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, addr, len) < 0 || listen(listener, 4096) < 0 ||
	    getsockname(listener, addr, &len) < 0)
		die("listen");
	if ((ep = epoll_create1(EPOLL_CLOEXEC)) < 0)
		die("epoll_create1");
	watch(EPOLL_CTL_ADD, listener, EPOLLIN);
	if (path)
		printf("listening unix %s\n", path);
	else
		printf("listening tcp 127.0.0.1:%d\n", ntohs(sa.sin_port));
	fflush(stdout);

	static struct epoll_event evs[BATCH];
	for (;;) {
		int n = epoll_wait(ep, evs, BATCH, -1);
		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < n; i++) {
			int fd = evs[i].data.fd;
			if (fd == listener)
				accept_some();
			else if (conns[fd].out)
				writable(fd);
			else
				readable(fd);
		}
	}
}
