/*
 * Starts a program, waits for its end and says what that took.
 *
 *   start PROGRAM [ARGUMENT...]
 *
 * PROGRAM is a path. Its standard input, output and error are /dev/null. One line on standard output holds the
 * wall-clock time from before vfork to after wait4 in ns, user and system time of the program in µs, the peak of its
 * resident memory in KiB, and its status as wait4 reports it. The program is killed when this one dies.
 *
 * In C because the kernel credits a process at exec with the peak of whoever started it: a Go program that starts
 * others would read its own memory there. This one has less than an empty Go program.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t nanoseconds(struct timespec t) { return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec; }

static int64_t microseconds(struct timeval t) { return (int64_t)t.tv_sec * 1000000 + t.tv_usec; }

int main(int argc, char **argv) {
	if (argc < 2) {
		fprintf(stderr, "usage: start PROGRAM [ARGUMENT...]\n");
		return 2;
	}
	int out = fcntl(1, F_DUPFD_CLOEXEC, 3), err = fcntl(2, F_DUPFD_CLOEXEC, 3);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (out < 0 || err < 0 || null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0) {
		perror("start");
		return 1;
	}

	volatile int failed = 0; /* set by the child, which shares this memory until exec */
	struct timespec begin, end;
	struct rusage usage;
	int status;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	pid_t pid = vfork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execv(argv[1], argv + 1);
		failed = errno;
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &usage) < 0) {
		failed = errno;
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	if (failed) {
		dprintf(err, "start: %s: %s\n", argv[1], strerror(failed));
		return 1;
	}
	dprintf(out, "%lld %lld %ld %d\n", (long long)(nanoseconds(end) - nanoseconds(begin)),
		(long long)(microseconds(usage.ru_utime) + microseconds(usage.ru_stime)), usage.ru_maxrss, status);
	return 0;
}
