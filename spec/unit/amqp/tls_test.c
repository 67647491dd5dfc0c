/* amqp/tls: ending it does not wait for a broker that takes nothing. */
#include "amqp/tls.h"

#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "certificate.h"
#include "check.h"

enum { TIMEOUT_MS = 10000, QUIET_MS = 200 };

/* A broker that shakes hands and reads nothing more. */
static void *shake_hands(void *argument)
{
	gnutls_session_t session = argument;
	CHECK(gnutls_handshake(session) == 0);
	return NULL;
}

/* Writes until nothing is taken for a while: all that lies between us and the broker is full. */
static void fill(int plain)
{
	static const char bytes[16 * 1024];
	struct pollfd p = {plain, POLLOUT, 0};
	while (poll(&p, 1, QUIET_MS) > 0)
		CHECK(send(plain, bytes, sizeof bytes, MSG_NOSIGNAL | MSG_DONTWAIT) > 0);
}

int main(void)
{
	static const struct kb_tls_options any = {.any_peer = true};
	gnutls_certificate_credentials_t credentials;
	gnutls_session_t session;
	pthread_t thread;
	int pair[2];
	char error[200] = "";
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	gnutls_certificate_allocate_credentials(&credentials);
	make_certificate(credentials);
	gnutls_init(&session, GNUTLS_SERVER | GNUTLS_NO_SIGNAL);
	gnutls_priority_set_direct(session, "NORMAL", NULL);
	gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
	gnutls_transport_set_int(session, pair[1]);
	pthread_create(&thread, NULL, shake_hands, session);
	struct kb_amqp_tls *tls = kb_amqp_tls_start(pair[0], "spec", &any, TIMEOUT_MS, error, sizeof error);
	pthread_join(thread, NULL);
	if (!tls)
		CHECK_TEXT(error, "");
	if (tls) {
		fill(kb_amqp_tls_plain(tls));
		close(kb_amqp_tls_plain(tls));
		alarm(TIMEOUT_MS / 1000); /* for want of an end, that of the test */
		kb_amqp_tls_end(tls);
	}
	gnutls_deinit(session);
	gnutls_certificate_free_credentials(credentials);
	close(pair[1]);
	return check_failures ? 1 : 0;
}
