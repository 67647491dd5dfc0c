#include "net/tcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "core/clock.h"

bool kb_tcp_is_ip(const char *host)
{
	struct in6_addr any;
	return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

/* 0, or what errno would be. */
static int await_connected(int fd, int64_t deadline)
{
	struct pollfd p = {fd, POLLOUT, 0};
	int error = 0, ready;
	socklen_t size = sizeof error;
	do {
		int64_t left = deadline - kb_clock_ms();
		ready = poll(&p, 1, left > 0 ? (int)left : 0);
	} while (ready < 0 && errno == EINTR);
	if (ready <= 0)
		return ETIMEDOUT;
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? errno : error;
}

static int connect_to(const struct addrinfo *a, int64_t deadline, int *error)
{
	int fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol), on = 1;
	if (fd < 0) {
		*error = errno;
		return -1;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	*error = connect(fd, a->ai_addr, a->ai_addrlen) == 0 ? 0 : errno;
	if (*error == EINPROGRESS)
		*error = await_connected(fd, deadline);
	if (*error == 0)
		return fd;
	close(fd);
	return -1;
}

int kb_tcp_connect(const char *host, int port, int timeout_ms, char *why, size_t size)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *list = NULL;
	char service[8];
	int fd = -1, error = 0;
	snprintf(service, sizeof service, "%d", port);
	int64_t deadline = kb_clock_ms() + timeout_ms;
	int status = getaddrinfo(host, service, &hints, &list);
	if (status != 0) {
		snprintf(why, size, "%s", status == EAI_SYSTEM ? strerror(errno) : gai_strerror(status));
		return -1;
	}
	int left = 0;
	for (const struct addrinfo *a = list; a; a = a->ai_next)
		left++;
	for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next, left--) {
		int64_t now = kb_clock_ms();
		fd = connect_to(
			a, now + (deadline - now) / left, &error); /* an address that does not answer leaves time for the others */
	}
	freeaddrinfo(list);
	if (fd < 0)
		snprintf(why, size, "%s", strerror(error));
	return fd;
}
