/* kazoo_publish and kazoo_publish_wait, native and KEMI. 1, or -1 and a log line; when waiting also -2: not known in
 * time. */
#ifndef KB_KAMAILIO_KAZOO_PUBLISH_H
#define KB_KAMAILIO_KAZOO_PUBLISH_H

#include <core/parser/msg_parser.h>

int kz_publish3(struct sip_msg *msg, char *exchange, char *routing_key, char *payload);
int kz_publish4(struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *headers);
int kz_publish5(struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *headers, char *properties);
int kz_publish_wait4(struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *timeout_ms);
int kz_publish_wait5(
	struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *timeout_ms, char *headers);
int kz_publish_wait6(struct sip_msg *msg, char *exchange, char *routing_key, char *payload, char *timeout_ms,
	char *headers, char *properties);
int kz_publish_kemi(struct sip_msg *msg, str *exchange, str *routing_key, str *payload);
int kz_publish_kemi_headers(struct sip_msg *msg, str *exchange, str *routing_key, str *payload, str *headers);
int kz_publish_kemi_properties(
	struct sip_msg *msg, str *exchange, str *routing_key, str *payload, str *headers, str *properties);
int kz_publish_kemi_wait(struct sip_msg *msg, str *exchange, str *routing_key, str *payload, int timeout_ms);
int kz_publish_kemi_wait_properties(
	struct sip_msg *msg, str *exchange, str *routing_key, str *payload, str *timeout_ms, str *headers, str *properties);

#endif
