#include "session.h"

#include <amqp_tcp_socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void probe_die(const char *what, const char *why)
{
	fprintf(stderr, "amqp_probe: %s: %s\n", what, why);
	exit(1);
}

const char *probe_reply_text(amqp_rpc_reply_t reply)
{
	static char text[512];
	if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
		return amqp_error_string2(reply.library_error);
	if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION)
		return "no reply";
	/* channel.close and connection.close begin with the same two fields */
	amqp_channel_close_t *closed = reply.reply.decoded;
	snprintf(text, sizeof text, "%d %.*s", closed->reply_code, (int)closed->reply_text.len,
		(char *)closed->reply_text.bytes);
	return text;
}

void probe_check(amqp_connection_state_t connection, const char *what)
{
	amqp_rpc_reply_t reply = amqp_get_rpc_reply(connection);
	if (reply.reply_type != AMQP_RESPONSE_NORMAL)
		probe_die(what, probe_reply_text(reply));
}

amqp_connection_state_t probe_open(const char *url)
{
	struct amqp_connection_info info;
	char *copy = strdup(url);
	if (!copy || amqp_parse_url(copy, &info) != AMQP_STATUS_OK)
		probe_die(url, "not an AMQP URL");
	amqp_connection_state_t connection = amqp_new_connection();
	amqp_socket_t *socket = amqp_tcp_socket_new(connection);
	if (!socket || amqp_socket_open(socket, info.host, info.port) != AMQP_STATUS_OK)
		probe_die(url, "cannot connect");
	amqp_rpc_reply_t reply = amqp_login(
		connection, info.vhost, 0, AMQP_DEFAULT_FRAME_SIZE, 0, AMQP_SASL_METHOD_PLAIN, info.user, info.password);
	if (reply.reply_type != AMQP_RESPONSE_NORMAL)
		probe_die("login", probe_reply_text(reply));
	amqp_channel_open(connection, PROBE_CHANNEL);
	probe_check(connection, "channel");
	free(copy);
	return connection;
}

void probe_close(amqp_connection_state_t connection)
{
	amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
	amqp_destroy_connection(connection);
}

const char *probe_argument(int argc, char **argv, int index, const char *name)
{
	if (index >= argc)
		probe_die("missing argument", name);
	return argv[index];
}
