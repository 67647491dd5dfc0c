/* nats_ack, nats_nak, nats_term and nats_progress, native and KEMI: what becomes of the message of a durable consumer
 * whose event route runs. 1, or -1 and a log line. */
#ifndef KB_KAMAILIO_NATS_VERDICT_H
#define KB_KAMAILIO_NATS_VERDICT_H

#include <core/parser/msg_parser.h>

int kn_verdict_ack(struct sip_msg *msg, char *unused1, char *unused2);
int kn_verdict_nak0(struct sip_msg *msg, char *unused1, char *unused2);
int kn_verdict_nak1(struct sip_msg *msg, char *delay, char *unused);
int kn_verdict_term(struct sip_msg *msg, char *unused1, char *unused2);
int kn_verdict_progress(struct sip_msg *msg, char *unused1, char *unused2);
int kn_verdict_ack_kemi(struct sip_msg *msg);
int kn_verdict_nak_kemi(struct sip_msg *msg, int delay_ms); /* 0: at once */
int kn_verdict_term_kemi(struct sip_msg *msg);
int kn_verdict_progress_kemi(struct sip_msg *msg);

#endif
