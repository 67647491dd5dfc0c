/* amqp/topology: whose fault it is when the broker closes the connection while a subscription is declared. */
#include "amqp/topology.h"

#include <amqp_tcp_socket.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

/* Both answers of the broker are in the socket before the calls that wait for them: the channel is open, the connection
 * closed.
 */
static void answer(int fd, unsigned code)
{
	static const unsigned char open_ok[] = {1, 0, 1, 0, 0, 0, 8, 0, 20, 0, 11, 0, 0, 0, 0, 0xce};
	const unsigned char close_connection[] = {1, 0, 0, 0, 0, 0, 13, 0, 10, 0, 50, (unsigned char)(code >> 8),
		(unsigned char)code, 2, 'n', 'o', 0, 0, 0, 0, 0xce};
	CHECK(write(fd, open_ok, sizeof open_ok) == sizeof open_ok);
	CHECK(write(fd, close_connection, sizeof close_connection) == sizeof close_connection);
}

static struct kb_amqp_declared declare(unsigned code)
{
	const struct kb_subscription s = {.exchange = {.name = "x", .type = "topic"}, .queue = {.name = "q"}};
	struct kb_amqp_declared declared;
	int fds[2];
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	answer(fds[1], code);
	amqp_connection_state_t connection = amqp_new_connection();
	amqp_tcp_socket_set_sockfd(amqp_tcp_socket_new(connection), fds[0]);
	CHECK(!kb_amqp_topology_declare(connection, 1, &s, &declared));
	amqp_destroy_connection(connection);
	close(fds[1]);
	return declared;
}

static void check_offence(unsigned code, bool offended)
{
	char reason[64];
	struct kb_amqp_declared declared = declare(code);
	snprintf(reason, sizeof reason, "declaring exchange \"x\": %u no", code);
	CHECK_TEXT(declared.error, reason);
	CHECK(declared.connection_lost);
	CHECK(declared.offended == offended);
}

int main(void)
{
	check_offence(AMQP_COMMAND_INVALID, true);
	check_offence(AMQP_NOT_ALLOWED, true);
	check_offence(AMQP_NOT_IMPLEMENTED, true);
	check_offence(AMQP_CONNECTION_FORCED, false);
	check_offence(AMQP_RESOURCE_ERROR, false);
	check_offence(AMQP_INTERNAL_ERROR, false);
	return check_failures != 0;
}
