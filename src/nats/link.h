/* One connection to a NATS server: made and logged in here, read and written without waiting afterwards. */
#ifndef KB_NATS_LINK_H
#define KB_NATS_LINK_H

#include "bus/broker.h"
#include "nats/login.h"
#include "nats/wire.h"
#include "net/tls.h"

/* Zero-initialise: not connected. */
struct kb_nats_link {
	bool open;          /* there is a socket */
	bool up;            /* it is logged in and nothing went wrong since */
	int tcp;            /* while it is open */
	struct kb_tls *tls; /* NULL: without */
	struct kb_buf in;   /* what was read, up to in.n */
	size_t in_at;       /* of it, what was taken */
	bool in_more;       /* the last read filled the buffer */
	struct kb_buf out;  /* what waits for the socket */
	size_t out_sent;    /* bytes at its front that are on the wire */
	size_t pong_end;    /* behind a PONG in it that is not on the wire; 0: there is none */
	int64_t heard_at;   /* ms; when the server last said anything */
	int64_t pinged_at;  /* ms; when it was last asked to */
	int pings_out;      /* not answered, since it last said anything */
	uint64_t pings;     /* sent on this connection, but for that of the login */
	uint64_t pongs;     /* and answered, in the same order */
	struct kb_nats_info info;
	struct kb_buf announced; /* JSON array of the cluster's servers, as the last INFO had it */
	bool cut_off;            /* the server closed it in the middle of a message, for no reason that it gave */
	bool mute;               /* the server reads no more; what it said before that can still be read, up to the end */
	char why[256];           /* it is not up any more */
	char said[256];          /* the last error that the server told of */
	int64_t said_at;         /* ms; when */
};

/* Connects and logs in within the connect timeout. False, and why in link->why. */
bool kb_nats_link_open(
	struct kb_nats_link *link, const struct kb_nats_server *server, const struct kb_broker_config *config);

/* Reads once what the socket has, up to the size of the buffer. Slices of operations taken before go stale. */
void kb_nats_link_read(struct kb_nats_link *link, int64_t now);

/* True while it makes sense to read again at once. */
bool kb_nats_link_has_more(const struct kb_nats_link *link);

/* The next thing the server said; its slices are valid until the next read. False: there is none now. With what is not
 * the protocol the connection ends. kb_nats_link_take() moves past it. */
bool kb_nats_link_peek(struct kb_nats_link *link, struct kb_nats_op *op, size_t *size);

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

/* Takes over what an INFO says. */
void kb_nats_link_note_info(struct kb_nats_link *link, const struct kb_nats_op *op);

/* Asks the server for a sign of life whenever it has said nothing for interval_ms, and gives it up when so many times
 * in a row it does not answer. */
void kb_nats_link_keep_alive(struct kb_nats_link *link, int interval_ms, int pings_out_max, int64_t now);

/* Asks for a PONG: with it the server has seen all that was written before, and said all that it had to say. */
void kb_nats_link_ping(struct kb_nats_link *link);

static inline bool kb_nats_link_awaits_pong(const struct kb_nats_link *link)
{
	return link->pongs < link->pings;
}

/* Answers a PING. One PONG that waits to be written answers all: who asks and does not read fills no memory. */
void kb_nats_link_pong(struct kb_nats_link *link);

/* To be told of each PONG. */
void kb_nats_link_note_pong(struct kb_nats_link *link);

/* The server tells of an error: the reason of the end, if that comes now. */
void kb_nats_link_note_error(struct kb_nats_link *link, const char *what, int64_t now);

/* Ends it for a reason; the first one stands, and what the server just said has precedence. */
void kb_nats_link_fail(struct kb_nats_link *link, const char *why);

/* POLLIN and POLLOUT: what to poll link->tcp for; POLLIN only when `reading`. */
short kb_nats_link_poll_events(const struct kb_nats_link *link, bool reading);

/* Waits up to linger_ms until the server has all that was written; 0 gives up what is not. */
void kb_nats_link_close(struct kb_nats_link *link, int linger_ms);
void kb_nats_link_free(struct kb_nats_link *link);

#endif
