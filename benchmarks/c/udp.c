/*
 * A plain UDP echo server: one thread, one level-triggered epoll set, recvfrom
 * and sendto until there is nothing left. It is the baseline (1.00) of the
 * benchmark udp. What the kernel has no room for is lost, as datagrams are.
 *
 * "listening udp 127.0.0.1:PORT" on standard output says that it is ready.
 * It runs until a signal ends it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static char buffer[64 << 10];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

int main(void)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof sa;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, len) < 0 || getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		die("bind");
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };
	if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0)
		die("epoll");
	printf("listening udp 127.0.0.1:%d\n", ntohs(sa.sin_port));
	fflush(stdout);
	for (;;) {
		if (epoll_wait(ep, &ev, 1, -1) < 0 && errno != EINTR)
			die("epoll_wait");
		for (;;) {
			struct sockaddr_in from;
			socklen_t from_len = sizeof from;
			ssize_t n = recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&from, &from_len);
			if (n < 0) {
				if (errno == EAGAIN || errno == EINTR)
					break;
				die("recvfrom");
			}
			if (sendto(fd, buffer, n, 0, (struct sockaddr *)&from, from_len) < 0 && errno != EAGAIN)
				die("sendto");
		}
	}
}
