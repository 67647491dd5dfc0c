/* One connection to a NATS server: connected and logged in here, afterwards read and written without waiting. Times are
 * ms of kb_clock_ms(). */
#ifndef KB_NATS_LINK_H
#define KB_NATS_LINK_H

#include "bus/broker.h"
#include "nats/info.h"
#include "nats/login.h"
#include "nats/wire.h"
#include "net/tls.h"

/* Zero-initialise: not connected. */
struct kb_nats_link {
	bool open;          /* there is a socket */
	bool up;            /* it is logged in, and nothing has gone wrong since */
	int tcp;            /* while it is open */
	struct kb_tls *tls; /* NULL: without */
	struct kb_buf in;   /* what was read */
	size_t in_at;       /* bytes of it that were taken */
	bool in_more;       /* the last read filled the buffer */
	struct kb_buf out;  /* what is to be written */
	size_t out_sent;    /* bytes of it that were written */
	size_t pong_end;    /* the end of a PONG in it that is not written; 0: there is none */
	int64_t heard_at;   /* when the server last sent anything */
	int64_t pinged_at;  /* when the last heartbeat was sent */
	int pings_out;      /* heartbeats since the server last sent anything */
	uint64_t pings;     /* sent on this connection after the login */
	uint64_t pongs;     /* of these, those that were answered, in the same order */
	struct kb_nats_info info;
	struct kb_buf announced; /* JSON array of the cluster's servers, as the last INFO had it */
	bool cut_off;            /* the server closed it in the middle of a message without giving a reason */
	bool mute;               /* the server reads no more; what it has sent can still be read, up to the end */
	char why[256];           /* why it is not up; "": it is */
	char said[256];          /* the last error of the server; forgotten after a while */
	int64_t said_at;         /* when */
};

/* Connects and logs in within the connect timeout. False, and why in link->why. */
bool kb_nats_link_open(
	struct kb_nats_link *link, const struct kb_nats_server *server, const struct kb_broker_config *config);

/* Reads once what the socket has, up to the size of the buffer. Slices of operations that were taken before go stale.
 */
void kb_nats_link_read(struct kb_nats_link *link, int64_t now);

/* True while it makes sense to read again at once. */
bool kb_nats_link_has_more(const struct kb_nats_link *link);

/* The next operation of the server and its size; its slices are valid until the next read. False: there is none now.
 * Bytes that are not the protocol end the connection. kb_nats_link_take() moves past it. */
bool kb_nats_link_peek(struct kb_nats_link *link, struct kb_nats_wire_op *op, size_t *size);

static inline void kb_nats_link_take(struct kb_nats_link *link, size_t size)
{
	link->in_at += size;
}

/* Writes what the socket takes now. */
void kb_nats_link_write(struct kb_nats_link *link);

static inline size_t kb_nats_link_waiting(const struct kb_nats_link *link)
{
	return link->out.n - link->out_sent;
}

/* Takes over the contents of an INFO. */
void kb_nats_link_note_info(struct kb_nats_link *link, const struct kb_nats_wire_op *op);

/* Sends a heartbeat (PING) when the server has sent nothing for interval_ms, and ends the connection when
 * pings_out_max of them in a row had no answer. An interval of 0: does nothing. */
void kb_nats_link_keep_alive(struct kb_nats_link *link, int interval_ms, int pings_out_max, int64_t now);

/* Appends a PING. When its PONG comes, the server has handled everything written before it, and sent its replies. */
void kb_nats_link_ping(struct kb_nats_link *link);

static inline bool kb_nats_link_awaits_pong(const struct kb_nats_link *link)
{
	return link->pongs < link->pings;
}

/* Answers a PING. One PONG that is not written yet answers all, so a server that does not read cannot fill the memory.
 */
void kb_nats_link_pong(struct kb_nats_link *link);

/* A PONG was read. */
void kb_nats_link_note_pong(struct kb_nats_link *link);

/* An error of the server. It is the reason of the end if that follows at once. */
void kb_nats_link_note_error(struct kb_nats_link *link, const char *what, int64_t now);

/* Ends it for a reason. The first one counts, and an error that the server has just sent has precedence. */
void kb_nats_link_fail(struct kb_nats_link *link, const char *why);

/* POLLIN and POLLOUT: what to poll link->tcp for; POLLIN only when `reading`. */
short kb_nats_link_poll_events(const struct kb_nats_link *link, bool reading);

/* Waits up to linger_ms until the server has read everything; 0 does not wait and gives up what is not written. */
void kb_nats_link_close(struct kb_nats_link *link, int linger_ms);
void kb_nats_link_free(struct kb_nats_link *link);

#endif
