#include "nats/writer.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

struct kb_nats_writer {
	struct kb_nats_link *link;
	pthread_t thread;
	pthread_mutex_t lock; /* held by the thread that the link belongs to */
	bool lent;            /* written by the process's own thread only */
	_Atomic unsigned lends;
	_Atomic bool awake, ended;
	sem_t wake;
};

/* -- the thread -- */

static void pause_a_while(void)
{
	struct timespec t = {.tv_nsec = KB_NATS_WRITER_MS * 1000000L};
	nanosleep(&t, NULL);
}

/* When the link was taken back, the process writes itself. False: the socket takes no more now. */
static bool write_if_lent(struct kb_nats_writer *w)
{
	if (pthread_mutex_trylock(&w->lock) != 0)
		return true;
	kb_nats_link_write(w->link);
	bool done = !kb_nats_link_waiting(w->link);
	pthread_mutex_unlock(&w->lock);
	return done;
}

/* True when nothing was lent since `lends` was `seen`; then the next lend wakes the thread. */
static bool may_sleep(struct kb_nats_writer *w, unsigned seen)
{
	if (w->lends != seen)
		return false;
	w->awake = false;
	return w->lends == seen || atomic_exchange(&w->awake, true);
}

/* Writes until nothing was lent for a while, and then sleeps: an idle process is not woken. */
static void look_after(struct kb_nats_writer *w)
{
	unsigned seen;
	bool done;
	do {
		seen = w->lends;
		pause_a_while();
		done = write_if_lent(w);
	} while (!w->ended && !(done && may_sleep(w, seen)));
}

static void *run(void *argument)
{
	struct kb_nats_writer *w = argument;
	while (!w->ended) {
		if (sem_wait(&w->wake) == 0)
			look_after(w);
	}
	return NULL;
}

/* Signals are for the main thread. */
static bool start_thread(struct kb_nats_writer *w)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	bool good = pthread_create(&w->thread, NULL, run, w) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return good;
}

/* -- the process's own -- */

struct kb_nats_writer *kb_nats_writer_start(struct kb_nats_link *link)
{
	struct kb_nats_writer *w = calloc(1, sizeof *w);
	if (!w)
		return NULL;
	w->link = link;
	pthread_mutex_init(&w->lock, NULL);
	pthread_mutex_lock(&w->lock);
	sem_init(&w->wake, 0, 0);
	if (start_thread(w))
		return w;
	sem_destroy(&w->wake);
	free(w);
	return NULL;
}

void kb_nats_writer_lend(struct kb_nats_writer *w)
{
	w->lent = true;
	w->lends++;
	if (!w->awake && !atomic_exchange(&w->awake, true))
		sem_post(&w->wake);
	pthread_mutex_unlock(&w->lock);
}

void kb_nats_writer_take_back(struct kb_nats_writer *w)
{
	if (!w || !w->lent)
		return;
	pthread_mutex_lock(&w->lock);
	w->lent = false;
}

void kb_nats_writer_end(struct kb_nats_writer *w)
{
	if (!w)
		return;
	w->ended = true;
	sem_post(&w->wake);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	pthread_mutex_destroy(&w->lock);
	sem_destroy(&w->wake);
	free(w);
}
