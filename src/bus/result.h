/* What a call to a broker returns. */
#ifndef KB_BUS_RESULT_H
#define KB_BUS_RESULT_H

enum kb_broker_result {
	KB_BROKER_OK = 0,
	KB_BROKER_AGAIN = 1,   /* not now: call process() and try again */
	KB_BROKER_LOST = -1,   /* there is no connection */
	KB_BROKER_INVALID = -2 /* this one call can never succeed; the connection is still there */
};

#endif
