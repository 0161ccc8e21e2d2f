/*
 * What the C programs of this folder have in common: the flags, the messages, the measured window and what is
 * printed. Each program is both ends:
 *
 *   PROGRAM -l PATH [-k KIND] [-m echo|flow] [-s SIZE] [-x N]
 *   PROGRAM -c PATH [-k KIND] [-m echo|flow] [-s SIZE] [-w WARMUP_MS] [-t MS] [-P SERVER_PID]
 *
 * -l is the server: it prints "listening unix PATH", serves one client and runs until SIGTERM, on which it prints
 * {"served":N}. In echo it sends back what comes; in flow it sends message after message. -x spoils the Nth message,
 * which the client has to notice.
 *
 * -c is the client, which measures: it sends one message at a time and waits for it (echo), or takes what comes
 * (flow). The first 8 bytes of a message are its number, from 0, the others are the same in all. A flow is added up in
 * words of 8 bytes, so every byte is read, and the sum compared; an echo is compared byte by byte. A difference ends
 * the client with status 1 and no figures.
 *
 * The window begins WARMUP_MS after the first message and lasts MS. At both ends the CPU time of both processes is
 * read from the process CPU clocks, which sum all threads. One line of JSON on standard output holds the results.
 */
#ifndef WINDOW_H
#define WINDOW_H

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_SIZE = 1 << 20, MAX_SAMPLES = 4 << 20, LIMIT_S = 60, MS = 1000000 };

struct options {
	const char *path, *kind;
	bool client, flow;
	size_t size;
	int64_t warmup, window; /* ns */
	pid_t pid;              /* of the server; 0: its CPU time is not read */
	uint64_t spoil;         /* the number of a message, from 1; 0: none */
};

static volatile uint64_t served;

static inline void die(const char *what)
{
	perror(what);
	exit(1);
}

static inline void refuse(const char *what)
{
	fprintf(stderr, "%s\n", what);
	exit(1);
}

/* report_served ends a server. Nothing here may be called but what signal-safety(7) lists. */
static inline void report_served(int sig)
{
	char text[40] = "{\"served\":", digits[20];
	size_t n = strlen(text), d = 0;
	uint64_t v = served;
	(void)sig;
	do {
		digits[d++] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	while (d)
		text[n++] = digits[--d];
	text[n++] = '}';
	text[n++] = '\n';
	_exit(write(1, text, n) == (ssize_t)n ? 0 : 1);
}

static inline struct options parse(int argc, char **argv)
{
	struct options o = { .kind = "", .size = 64, .warmup = 100 * (int64_t)MS, .window = 300 * (int64_t)MS };
	int c;
	while ((c = getopt(argc, argv, "l:c:k:m:s:w:t:P:x:")) != -1) {
		switch (c) {
		case 'l': o.path = optarg; break;
		case 'c': o.path = optarg; o.client = true; break;
		case 'k': o.kind = optarg; break;
		case 'm': o.flow = !strcmp(optarg, "flow"); break;
		case 's': o.size = strtoul(optarg, NULL, 10); break;
		case 'w': o.warmup = strtol(optarg, NULL, 10) * MS; break;
		case 't': o.window = strtol(optarg, NULL, 10) * MS; break;
		case 'P': o.pid = atoi(optarg); break;
		case 'x': o.spoil = strtoull(optarg, NULL, 10); break;
		default: exit(2);
		}
	}
	if (!o.path || optind != argc || o.size < 8 || o.size > MAX_SIZE || o.size % 8)
		refuse("usage: -l PATH or -c PATH; -s is a multiple of 8");
	alarm(LIMIT_S);
	signal(SIGPIPE, SIG_IGN);
	if (!o.client)
		signal(SIGTERM, report_served);
	return o;
}

static inline void listening(const struct options *o)
{
	printf("listening unix %s\n", o->path);
	fflush(stdout);
}

/* wait_for_term is what a server does when its client has gone. */
static inline void wait_for_term(void)
{
	for (;;)
		pause();
}

/* pattern fills a message but for its number, and returns the sum of what it has filled. */
static inline uint64_t pattern(uint64_t *message, size_t size)
{
	uint64_t sum = 0;
	for (size_t i = 1; i < size / 8; i++)
		sum += message[i] = i * UINT64_C(0x9e3779b97f4a7c15);
	return sum;
}

/* spoil changes a bit of the message that is to be spoiled. */
static inline void spoil(const struct options *o, uint64_t number, void *message)
{
	if (number + 1 == o->spoil)
		((char *)message)[o->size - 1] ^= 1;
}

static inline uint64_t add_up(const void *data, size_t n)
{
	const uint64_t *w = data;
	uint64_t a = 0, b = 0, c = 0, d = 0;
	size_t i = 0;
	for (n /= 8; i + 4 <= n; i += 4)
		a += w[i], b += w[i + 1], c += w[i + 2], d += w[i + 3];
	for (; i < n; i++)
		a += w[i];
	return a + b + c + d;
}

static inline int64_t clock_ns(clockid_t clock)
{
	struct timespec t;
	if (clock_gettime(clock, &t) < 0)
		die("clock_gettime");
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static inline int64_t now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

struct window {
	const struct options *o;
	bool started, open, over;
	int64_t begin, end, self[2], server[2];
	uint64_t requests, total;
	uint32_t *samples; /* ns */
	size_t nsamples;
	unsigned block, passed; /* the clock is read once in so many messages of a flow */
};

static inline struct window new_window(const struct options *o)
{
	struct window w = { .o = o, .block = o->size < 4096 ? 64 : 1 };
	if (!o->flow) {
		w.samples = malloc(MAX_SAMPLES * sizeof *w.samples);
		if (!w.samples)
			die("malloc");
		memset(w.samples, 1, MAX_SAMPLES * sizeof *w.samples); /* no page faults later */
	}
	return w;
}

static inline void read_cpu(struct window *w, int end)
{
	w->self[end] = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	clockid_t clock;
	if (w->o->pid) {
		if (clock_getcpuclockid(w->o->pid, &clock))
			refuse("clock_getcpuclockid: no such server");
		w->server[end] = clock_ns(clock);
	}
}

/* advance opens and closes the window. It tells whether to go on. */
static inline bool advance(struct window *w, int64_t now)
{
	if (!w->started) {
		w->started = true;
		w->begin = now + w->o->warmup;
	} else if (w->open && now >= w->end) {
		read_cpu(w, 1);
		w->end = now;
		w->open = false;
		w->over = true;
	} else if (!w->open && now >= w->begin) {
		read_cpu(w, 0);
		w->begin = now_ns();
		w->open = true;
		w->end = w->begin + w->o->window;
	}
	return !w->over;
}

/* answered counts a round trip. */
static inline bool answered(struct window *w, int64_t sent, int64_t now)
{
	w->total++;
	if (w->open) {
		w->requests++;
		if (w->nsamples < MAX_SAMPLES)
			w->samples[w->nsamples++] = now - sent > UINT32_MAX ? UINT32_MAX : (uint32_t)(now - sent);
	}
	return advance(w, now);
}

/* passed counts a message of a flow. */
static inline bool passed(struct window *w)
{
	w->total++;
	w->requests += w->open;
	if (++w->passed < w->block)
		return true;
	w->passed = 0;
	return advance(w, now_ns());
}

static inline int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

static inline double quantile_us(const struct window *w, double q)
{
	return w->nsamples ? w->samples[(size_t)(q * (double)(w->nsamples - 1))] / 1e3 : 0;
}

static inline void report(struct window *w)
{
	if (w->nsamples)
		qsort(w->samples, w->nsamples, sizeof *w->samples, by_value);
	printf("{\"requests\":%" PRIu64 ",\"total\":%" PRIu64 ",\"begin_ns\":%" PRId64 ",\"end_ns\":%" PRId64
	       ",\"server_cpu_ns\":%" PRId64 ",\"load_cpu_ns\":%" PRId64 ",\"p50_us\":%.3f,\"p99_us\":%.3f,\"max_us\":%.3f}\n",
	       w->requests, w->total, w->begin, w->end, w->server[1] - w->server[0], w->self[1] - w->self[0],
	       quantile_us(w, 0.5), quantile_us(w, 0.99), quantile_us(w, 1));
}

/* ping makes the message with that number. */
static inline void ping(uint64_t *message, uint64_t number) { message[0] = number; }

/* check compares a message of a flow with what has to come; rest is what pattern has returned. */
static inline void check(const struct options *o, const void *message, size_t size, uint64_t number, uint64_t rest)
{
	uint64_t first;
	if (size != o->size)
		refuse("wrong length");
	memcpy(&first, message, sizeof first);
	if (first != number)
		refuse("a message is missing, or comes twice");
	if (add_up(message, size) != number + rest)
		refuse("wrong bytes");
}

#endif
