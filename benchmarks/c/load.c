/*
 * A closed-loop load generator for echo servers: one thread, raw epoll,
 * loopback only, bounded in time.
 *
 *   load -p PORT|PATH [-D] [-c CONNS] [-s SIZE] [-d DEPTH] [-w WARMUP_MS] [-t MS]
 *        [-P SERVER_PID] [-b] [-u PORT [-i MICROS]]
 *   load -p PORT|PATH -I CONNS
 *
 * -p is a port of 127.0.0.1, or with a slash the path of a Unix stream socket.
 * -D sends datagrams of UDP instead, one a request, from CONNS sockets of their
 * own, with a DEPTH of 1. One that is lost ends it without figures.
 *
 * Every connection keeps DEPTH requests of SIZE bytes in flight. The content of
 * each stream is a function of the connection's number and the position, so all
 * that comes back is compared byte by byte, and after the measured window the
 * generator stops sending and waits until every byte it sent has come back. A
 * difference, a surplus or a loss ends it with status 1 and no figures.
 *
 * The window begins WARMUP_MS after all connections are up and lasts MS. At both
 * ends the CPU time of SERVER_PID is read from that process's CPU clock: it has
 * nanoseconds, sums all threads and keeps those that have exited. One line of
 * JSON on standard output holds the results.
 *
 * -b never sleeps: then the server's writes have no sleeping CPU to wake, which
 * else is the larger part of what a request on a single connection costs.
 *
 * -u opens one more connection, to that port, and sends a message of 64 bytes on
 * it every MICROS (default 1000), whose first 8 bytes are CLOCK_MONOTONIC in
 * nanoseconds, little endian, at the moment of sending. No reply is expected.
 *
 * -I opens CONNS connections one after the other, exchanges one request on each,
 * prints "idle CONNS" and holds them until standard input ends.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
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

enum { PERIOD = 8192, MAX_SIZE = 1 << 20, BUFFER = 64 << 10, URGENT_SIZE = 64 };
enum { DRAIN_MS = 1500, LIMIT_S = 120, MAX_SAMPLES = 16 << 20 };

struct conn {
	int fd;
	uint32_t id;
	uint64_t queued;         /* bytes it may have sent by now */
	uint64_t written, read;  /* bytes so far */
	int64_t *sent;           /* when each request in flight was sent */
	int wants_out;
};

static unsigned char pattern[PERIOD + MAX_SIZE], buffer[BUFFER];
static size_t size = 64;
static int conns_n = 1, depth = 1, ep, kind = SOCK_STREAM;
static struct conn *conns;
static int measuring, draining;
static uint32_t *samples;
static size_t samples_n;
static uint64_t requests;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void fail(const char *what, const struct conn *c)
{
	fprintf(stderr, "load: %s (connection %u, at byte %" PRIu64 ")\n", what, c->id, c->read);
	exit(1);
}

static int64_t clock_ns(clockid_t id)
{
	struct timespec t;
	if (clock_gettime(id, &t) < 0)
		die("clock_gettime");
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static int64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static void fill_pattern(void)
{
	uint64_t x = 1;
	for (size_t i = 0; i < sizeof pattern; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17; /* xorshift64 (Marsaglia 2003) */
		pattern[i] = x >> 32;
	}
}

/* The bytes of a connection's stream from pos on, up to the end of the request. */
static const unsigned char *stream_at(const struct conn *c, uint64_t pos, size_t *len)
{
	uint64_t request = pos / size;
	size_t off = pos % size;
	*len = size - off;
	return pattern + (c->id * UINT64_C(2654435761) + request * 40503) % PERIOD + off;
}

static int dial(const char *to)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_un un;
	} addr = { 0 };
	int on = 1;
	socklen_t len = sizeof addr.in;
	if (strchr(to, '/')) {
		addr.un.sun_family = AF_UNIX;
		strncpy(addr.un.sun_path, to, sizeof addr.un.sun_path - 1);
		len = sizeof addr.un;
	} else {
		addr.in.sin_family = AF_INET;
		addr.in.sin_port = htons(atoi(to));
		addr.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	}
	int fd = socket(addr.any.sa_family, kind | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("socket");
	if (connect(fd, &addr.any, len) < 0)
		die("connect");
	if (addr.any.sa_family == AF_INET && kind == SOCK_STREAM)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	return fd;
}

static void watch(struct conn *c, int op, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = c };
	if (epoll_ctl(ep, op, c->fd, &ev) < 0)
		die("epoll_ctl");
}

/* Writes what is queued; the kernel not taking all of it is waited for. */
static void flush(struct conn *c)
{
	while (c->written < c->queued) {
		size_t n = 0, len;
		while (n < sizeof buffer && c->written + n < c->queued) {
			const unsigned char *p = stream_at(c, c->written + n, &len);
			if (len > sizeof buffer - n)
				len = sizeof buffer - n;
			memcpy(buffer + n, p, len);
			n += len;
		}
		ssize_t w = write(c->fd, buffer, n);
		if (w < 0) {
			if (errno != EAGAIN)
				fail(strerror(errno), c);
			w = 0;
		}
		c->written += w;
		if ((size_t)w < n)
			break;
	}
	int wants = c->written < c->queued;
	if (wants != c->wants_out) {
		c->wants_out = wants;
		watch(c, EPOLL_CTL_MOD, wants ? EPOLLIN | EPOLLOUT : EPOLLIN);
	}
}

static void send_more(struct conn *c, int n, int64_t now)
{
	for (; n > 0; n--, c->queued += size)
		c->sent[c->queued / size % depth] = now;
	flush(c);
}

/* Returns the time, so that one reading of the clock serves a whole event. */
static int64_t readable(struct conn *c)
{
	ssize_t n = read(c->fd, buffer, sizeof buffer);
	int64_t now = now_ns();
	if (n < 0 && errno == EAGAIN)
		return now;
	if (n <= 0)
		fail(n < 0 ? strerror(errno) : "the server closed", c);
	if (kind == SOCK_DGRAM && (size_t)n != size)
		fail("a datagram of another length", c);
	if (c->read + n > c->written)
		fail("more bytes than were sent", c);
	int done = 0;
	for (size_t off = 0, len; off < (size_t)n; off += len) {
		const unsigned char *p = stream_at(c, c->read, &len);
		if (len > n - off)
			len = n - off;
		if (memcmp(buffer + off, p, len) != 0)
			fail("wrong bytes", c);
		c->read += len;
		if (c->read % size != 0)
			continue;
		done++;
		if (!measuring)
			continue;
		requests++;
		if (samples_n < MAX_SAMPLES) {
			int64_t lat = now - c->sent[(c->read / size - 1) % depth];
			samples[samples_n++] = lat > UINT32_MAX ? UINT32_MAX : lat;
		}
	}
	if (done && !draining)
		send_more(c, done, now);
	return now;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

static double quantile_us(double q)
{
	return samples_n ? samples[(size_t)(q * (samples_n - 1))] / 1e3 : 0;
}

static void idle(const char *port)
{
	for (int i = 0; i < conns_n; i++) {
		struct conn c = { .fd = dial(port), .id = i };
		unsigned char reply[64];
		size_t len;
		const unsigned char *p = stream_at(&c, 0, &len);
		if (write(c.fd, p, 64) != 64 || recv(c.fd, reply, 64, MSG_WAITALL) != 64)
			fail("no reply", &c);
		if (memcmp(p, reply, 64) != 0)
			fail("wrong bytes", &c);
	}
	printf("idle %d\n", conns_n);
	fflush(stdout);
	char c;
	while (read(0, &c, 1) > 0)
		;
	exit(0);
}

static void nonblocking(int fd)
{
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		die("fcntl");
}

int main(int argc, char **argv)
{
	const char *port = NULL, *urgent_port = NULL;
	int warm_ms = 200, run_ms = 500, idle_mode = 0, spin = 0;
	int64_t interval = 1000000;
	pid_t pid = 0;
	for (int o; (o = getopt(argc, argv, "p:Dc:s:d:w:t:P:bu:i:I:")) != -1;) {
		switch (o) {
		case 'p': port = optarg; break;
		case 'D': kind = SOCK_DGRAM; break;
		case 'c': conns_n = atoi(optarg); break;
		case 's': size = atoi(optarg); break;
		case 'd': depth = atoi(optarg); break;
		case 'w': warm_ms = atoi(optarg); break;
		case 't': run_ms = atoi(optarg); break;
		case 'P': pid = atoi(optarg); break;
		case 'b': spin = 1; break;
		case 'u': urgent_port = optarg; break;
		case 'i': interval = atol(optarg) * 1000; break;
		case 'I': conns_n = atoi(optarg); idle_mode = 1; break;
		default: return 2;
		}
	}
	if (kind == SOCK_DGRAM && (depth > 1 || size > BUFFER || idle_mode))
		return 2;
	if (!port || conns_n < 1 || depth < 1 || size < 1 || size > MAX_SIZE || interval < 1)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	alarm(LIMIT_S);
	struct rlimit lim;
	getrlimit(RLIMIT_NOFILE, &lim);
	lim.rlim_cur = lim.rlim_max;
	setrlimit(RLIMIT_NOFILE, &lim);
	fill_pattern();
	if (idle_mode)
		idle(port);

	/* The process CPU clock of pid, see clock_getcpuclockid(3). */
	clockid_t server_clock = CLOCK_MONOTONIC;
	if (pid && clock_getcpuclockid(pid, &server_clock) != 0)
		die("clock_getcpuclockid");
	samples = malloc(MAX_SAMPLES * sizeof *samples);
	conns = calloc(conns_n, sizeof *conns);
	if (!samples || !conns || (ep = epoll_create1(EPOLL_CLOEXEC)) < 0)
		die("setup");
	for (int i = 0; i < conns_n; i++) {
		struct conn *c = &conns[i];
		c->id = i;
		c->fd = dial(port);
		nonblocking(c->fd);
		if (!(c->sent = calloc(depth, sizeof *c->sent)))
			die("calloc");
		watch(c, EPOLL_CTL_ADD, EPOLLIN);
	}
	int urgent = -1;
	if (urgent_port) {
		urgent = dial(urgent_port);
		nonblocking(urgent);
	}

	int64_t start = now_ns(), begin = start + warm_ms * INT64_C(1000000);
	int64_t end = begin + run_ms * INT64_C(1000000), next_urgent = start;
	int64_t server0 = 0, server1 = 0, self0 = 0, self1 = 0;
	uint64_t urgent_sent = 0, urgent_failed = 0;
	for (int i = 0; i < conns_n; i++)
		send_more(&conns[i], depth, now_ns());
	for (int64_t now = start; !draining;) {
		struct epoll_event evs[256];
		int64_t wait = (measuring ? end : begin) - now;
		if (urgent >= 0 && next_urgent - now < wait)
			wait = next_urgent - now;
		if (wait < 0 || spin)
			wait = 0;
		struct timespec ts = { wait / 1000000000, wait % 1000000000 };
		int n = epoll_pwait2(ep, evs, 256, &ts, NULL);
		if (n < 0 && errno != EINTR)
			die("epoll_pwait2");
		now = now_ns();
		for (int i = 0; i <= n; i++) {
			if (!measuring && !draining && now >= begin) {
				measuring = 1;
				server0 = clock_ns(server_clock);
				self0 = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
				begin = now = now_ns();
				end = begin + run_ms * INT64_C(1000000);
			} else if (measuring && now >= end) {
				end = now;
				measuring = 0;
				draining = 1;
				server1 = clock_ns(server_clock);
				self1 = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
			}
			if (urgent >= 0 && now >= next_urgent) {
				int64_t message[URGENT_SIZE / 8] = { now_ns() };
				next_urgent += interval * ((now - next_urgent) / interval + 1);
				if (write(urgent, message, sizeof message) != sizeof message)
					urgent_failed += measuring;
				else
					urgent_sent += measuring;
			}
			if (i == n)
				break;
			struct conn *c = evs[i].data.ptr;
			if (evs[i].events & EPOLLOUT)
				flush(c);
			if (evs[i].events & ~EPOLLOUT)
				now = readable(c);
		}
	}

	/* Every byte sent has to come back. */
	for (int i = 0; i < conns_n; i++) {
		struct conn *c = &conns[i];
		int64_t limit = now_ns() + DRAIN_MS * INT64_C(1000000);
		while (c->read < c->queued) {
			struct epoll_event evs[256];
			int n = epoll_wait(ep, evs, 256, 100);
			for (int k = 0; k < n; k++) {
				if (evs[k].events & EPOLLOUT)
					flush(evs[k].data.ptr);
				if (evs[k].events & ~EPOLLOUT)
					readable(evs[k].data.ptr);
			}
			if (now_ns() > limit)
				fail("replies are missing", c);
		}
	}
	qsort(samples, samples_n, sizeof *samples, by_value);
	printf("{\"requests\":%" PRIu64 ",\"begin_ns\":%" PRId64 ",\"end_ns\":%" PRId64
	       ",\"server_cpu_ns\":%" PRId64 ",\"load_cpu_ns\":%" PRId64
	       ",\"p50_us\":%.2f,\"p99_us\":%.2f,\"max_us\":%.2f"
	       ",\"urgent_sent\":%" PRIu64 ",\"urgent_failed\":%" PRIu64 "}\n",
	       requests, begin, end, pid ? server1 - server0 : 0, self1 - self0,
	       quantile_us(0.5), quantile_us(0.99), quantile_us(1), urgent_sent, urgent_failed);
	return 0;
}
