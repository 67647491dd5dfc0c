/* net/tls: what is written arrives once and in order, also when the server asks for new keys while it reads nothing,
 * and a server's last word is read after a write has failed. */
#include "net/tls.h"

#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "certificate.h"
#include "check.h"

enum { BYTES = 4 * 1024 * 1024, ROUNDS = 3, TIMEOUT_MS = 10000 };

/* For what the other thread would wait for in vain. */
#define MUST(condition)                                                                                                \
	do {                                                                                                               \
		CHECK(condition);                                                                                              \
		if (check_failures)                                                                                            \
			exit(1);                                                                                                   \
	} while (0)

/* The other side: a server in a thread, on a socket that waits. */
struct server {
	pthread_t thread;
	int socket, aside; /* aside: bytes by which the two wait for each other */
	gnutls_certificate_credentials_t credentials;
	gnutls_session_t session;
	const char *priorities;
	char *got;
	size_t n;
};

static char *numbers(void)
{
	char *text = malloc(BYTES + 20);
	for (int i = 0, n = 0; n < BYTES; i++)
		n += sprintf(text + n, "%d\n", i);
	return text;
}

static void shake_hands(struct server *s)
{
	gnutls_init(&s->session, GNUTLS_SERVER | GNUTLS_NO_SIGNAL);
	gnutls_priority_set_direct(s->session, s->priorities, NULL);
	gnutls_credentials_set(s->session, GNUTLS_CRD_CERTIFICATE, s->credentials);
	gnutls_transport_set_int(s->session, s->socket);
	CHECK(gnutls_handshake(s->session) == 0);
}

static void tell(int aside)
{
	CHECK(send(aside, "!", 1, MSG_NOSIGNAL) == 1);
}

static void await(int aside)
{
	char byte;
	CHECK(recv(aside, &byte, 1, 0) == 1);
}

static void read_up_to(struct server *s, size_t end)
{
	for (ssize_t n = 1; s->n < end && (n > 0 || n == GNUTLS_E_AGAIN); s->n += n > 0 ? (size_t)n : 0)
		n = gnutls_record_recv(s->session, s->got + s->n, BYTES - s->n); /* AGAIN: these were new keys */
}

static void *ask_for_keys_and_read(void *argument)
{
	struct server *s = argument;
	shake_hands(s);
	for (size_t round = 0; round < ROUNDS; round++) {
		read_up_to(s, BYTES / ROUNDS * round);
		tell(s->aside);  /* I read nothing now */
		await(s->aside); /* and it can write nothing */
		CHECK(gnutls_session_key_update(s->session, GNUTLS_KU_PEER) == 0);
		CHECK(gnutls_record_send(s->session, "k", 1) == 1);
		await(s->aside); /* it has read that */
	}
	read_up_to(s, BYTES);
	return NULL;
}

static void *say_why_and_go(void *argument)
{
	struct server *s = argument;
	shake_hands(s);
	CHECK(gnutls_record_send(s->session, "no more", 7) == 7);
	close(s->socket);
	s->socket = -1;
	return NULL;
}

static struct kb_tls *connect_to(struct server *s, void *(*body)(void *), const char *priorities, int *aside)
{
	static const struct kb_tls_options any = {.any_peer = true};
	int pair[2], between[2], small = 8192;
	char error[200] = "";
	*s = (struct server){.priorities = priorities, .got = malloc(BYTES)};
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, between) == 0);
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	s->socket = pair[1];
	s->aside = between[1];
	*aside = between[0];
	gnutls_certificate_allocate_credentials(&s->credentials);
	make_certificate(s->credentials);
	CHECK(pthread_create(&s->thread, NULL, body, s) == 0);
	struct kb_tls *tls = kb_tls_start(pair[0], "spec", &any, TIMEOUT_MS, error, sizeof error);
	if (!tls)
		CHECK_TEXT(error, "");
	MUST(tls);
	return tls;
}

static void end(struct server *s, struct kb_tls *tls, int aside)
{
	kb_tls_end(tls);
	gnutls_deinit(s->session);
	gnutls_certificate_free_credentials(s->credentials);
	if (s->socket >= 0)
		close(s->socket);
	close(s->aside);
	close(aside);
	free(s->got);
}

/* Waits for the socket, at most TIMEOUT_MS; false then. */
static bool wait_for(struct kb_tls *tls, short events)
{
	return poll(&(struct pollfd){kb_tls_socket(tls), events, 0}, 1, TIMEOUT_MS) > 0;
}

static bool read_one(struct kb_tls *tls, char expected)
{
	char byte = 0;
	ssize_t n;
	while ((n = kb_tls_read(tls, &byte, 1)) == 0)
		if (!wait_for(tls, POLLIN))
			return false;
	return n == 1 && byte == expected;
}

/* Writes pieces that lie elsewhere each time, as a buffer that moves does, until the socket takes nothing. */
static size_t write_some(struct kb_tls *tls, const char *from, size_t n)
{
	size_t done = 0;
	ssize_t written = 1;
	while (done < n && written > 0) {
		size_t size = n - done < 70001 ? n - done : 70001;
		char *moved = malloc(size);
		memcpy(moved, from + done, size);
		written = kb_tls_write(tls, moved, size);
		done += written > 0 ? (size_t)written : 0;
		free(moved);
	}
	CHECK(written >= 0);
	return done;
}

/* Writes until all is written or the server stops reading; false: neither comes. */
static bool write_until_told(struct kb_tls *tls, const char *text, size_t *sent, int aside)
{
	while (*sent < BYTES) {
		*sent += write_some(tls, text + *sent, BYTES - *sent);
		struct pollfd p[2] = {{kb_tls_socket(tls), kb_tls_wants(tls), 0}, {aside, POLLIN, 0}};
		if (*sent < BYTES && poll(p, 2, TIMEOUT_MS) <= 0)
			return false;
		if (p[1].revents)
			break;
	}
	return true;
}

static void new_keys_while_a_write_waits(void)
{
	struct server s;
	int aside;
	size_t sent = 0;
	char *text = numbers();
	struct kb_tls *tls = connect_to(&s, ask_for_keys_and_read, "NORMAL:-VERS-ALL:+VERS-TLS1.3", &aside);
	for (int round = 0; round < ROUNDS; round++) {
		MUST(write_until_told(tls, text, &sent, aside));
		await(aside);
		sent += write_some(tls, text + sent, BYTES - sent);
		MUST(sent < BYTES);
		tell(aside);
		MUST(read_one(tls, 'k')); /* behind the request for new keys */
		tell(aside);
	}
	MUST(write_until_told(tls, text, &sent, aside) && sent == BYTES);
	pthread_join(s.thread, NULL);
	CHECK(s.n == BYTES && memcmp(s.got, text, BYTES) == 0);
	end(&s, tls, aside);
	free(text);
}

static void last_words_after_a_failed_write(const char *priorities)
{
	struct server s;
	int aside;
	char got[20];
	ssize_t n, length = 0;
	struct kb_tls *tls = connect_to(&s, say_why_and_go, priorities, &aside);
	pthread_join(s.thread, NULL);
	CHECK(kb_tls_write(tls, "x", 1) == -1);
	while ((n = kb_tls_read(tls, got + length, sizeof got - (size_t)length)) >= 0)
		length += n;
	CHECK(length == 7 && memcmp(got, "no more", 7) == 0);
	CHECK_CONTAINS(kb_tls_reason(tls), "TLS: Broken pipe");
	end(&s, tls, aside);
}

int main(void)
{
	new_keys_while_a_write_waits();
	last_words_after_a_failed_write("NORMAL:-VERS-ALL:+VERS-TLS1.2");
	last_words_after_a_failed_write("NORMAL:-VERS-ALL:+VERS-TLS1.3");
	return check_failures ? 1 : 0;
}
