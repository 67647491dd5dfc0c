/* nats_respond, native and KEMI: the reply to the message whose event route runs. 1, or -1 and a log line. */
#ifndef KB_KAMAILIO_NATS_RESPOND_H
#define KB_KAMAILIO_NATS_RESPOND_H

#include <core/parser/msg_parser.h>

int kn_respond1(struct sip_msg *msg, char *payload, char *unused);
int kn_respond2(struct sip_msg *msg, char *payload, char *headers);
int kn_respond_kemi(struct sip_msg *msg, str *payload);
int kn_respond_kemi_headers(struct sip_msg *msg, str *payload, str *headers);

#endif
