/* Key-value buckets for scripts: nats_kv_get and its like. */
#ifndef KB_KAMAILIO_NATS_KV_H
#define KB_KAMAILIO_NATS_KV_H

#include <core/parser/msg_parser.h>
#include <core/pvar.h>

int kn_kv_get(struct sip_msg *msg, char *bucket, char *key, char *target);
int kn_kv_put(struct sip_msg *msg, char *bucket, char *key, char *value);
int kn_kv_create(struct sip_msg *msg, char *bucket, char *key, char *value);
int kn_kv_update(struct sip_msg *msg, char *bucket, char *key, char *value, char *revision);
int kn_kv_delete2(struct sip_msg *msg, char *bucket, char *key);
int kn_kv_delete3(struct sip_msg *msg, char *bucket, char *key, char *revision);

int kn_kv_kemi_get(struct sip_msg *msg, str *bucket, str *key);
int kn_kv_kemi_put(struct sip_msg *msg, str *bucket, str *key, str *value);
int kn_kv_kemi_create(struct sip_msg *msg, str *bucket, str *key, str *value);
int kn_kv_kemi_update(struct sip_msg *msg, str *bucket, str *key, str *value, str *revision);
int kn_kv_kemi_delete(struct sip_msg *msg, str *bucket, str *key);
int kn_kv_kemi_delete_revision(struct sip_msg *msg, str *bucket, str *key, str *revision);

/* $natsValue, $natsRevision: of the last of these functions in this process */
int kn_kv_pv_value(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);
int kn_kv_pv_revision(struct sip_msg *msg, pv_param_t *parameter, pv_value_t *value);

#endif
