/*
 * amqp_probe: one AMQP action per call, for the specs and the benchmark.
 *
 *   amqp_probe URL exchange NAME TYPE [durable] [auto_delete] [internal] [passive]
 *   amqp_probe URL queue NAME [durable] [auto_delete] [exclusive] [passive] [quorum]   prints "NAME MESSAGES CONSUMERS"
 *   amqp_probe URL bind QUEUE EXCHANGE KEY
 *   amqp_probe URL delete exchange|queue NAME
 *   amqp_probe URL publish EXCHANGE KEY [OPTION]...    payloads from standard input
 *   amqp_probe URL consume QUEUE [OPTION]...           one JSON object a line; "ready" on standard error
 *
 * publish: --lines (a payload per line) or --frames ("LENGTH\n" and that many bytes each); default: all input is one
 * payload.
 *   --count N (each payload N times), --header NAME=VALUE, --content-type, --reply-to, --correlation-id, --message-id,
 *   --type, --app-id, --persistent, --confirm (status 1 unless the broker confirms all).
 * consume: --count N (0: no limit), --deadline SECONDS (without a message), --total-deadline SECONDS, --quiet (print
 *   only the number of messages), --prefetch N, --no-ack (faster, but what is in flight when the count is reached is
 *   lost).
 */
#include <stdio.h>
#include <string.h>

#include "consume.h"
#include "publish.h"
#include "session.h"
#include "topology.h"

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(amqp_connection_state_t, int, char **);
		int skip; /* getopt wants the program's name first, the others only what follows */
	} commands[] = {{"exchange", probe_declare_exchange, 3}, {"queue", probe_declare_queue, 3},
		{"bind", probe_bind_queue, 3}, {"delete", probe_delete, 3}, {"publish", probe_publish, 2},
		{"consume", probe_consume, 2}};
	if (argc < 3)
		probe_die("usage", "amqp_probe URL COMMAND ..., see the head of its main.c");
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		if (strcmp(argv[2], commands[i].name))
			continue;
		amqp_connection_state_t connection = probe_open(argv[1]);
		commands[i].run(connection, argc - commands[i].skip, argv + commands[i].skip);
		probe_close(connection);
		return 0;
	}
	probe_die(argv[2], "no such command");
}
