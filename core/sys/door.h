/* door.h -- a way to a thread that may be gone when somebody wants to send it a letter. See door.c. */
#ifndef PERILUNE_SYS_DOOR_H
#define PERILUNE_SYS_DOOR_H

#include "sys/mailbox.h"

struct door;

/* To the owner of mail, with one share.  NULL: no memory. */
struct door *door_new(struct mailbox *mail);
/* The thread that calls is the one it leads to. */
void door_is_mine(struct door *d);
struct door *door_ref(struct door *d); /* [any] */
void door_put(struct door *d);         /* [any] NULL is fine */
/* Nothing comes in any more: before mailbox_close(). NULL is fine. */
void door_close(struct door *d);

/* [any] Does the calling thread own what is behind it? */
bool door_is_here(const struct door *d);
/* [any] Is this a child of the process that made it?  Then nobody is behind it. */
bool door_is_foreign(const struct door *d);
/* [any] As mailbox_send(): false, and the letter stays the caller's, when it is closed. */
bool door_send(struct door *d, struct letter *letter, void (*open)(struct letter *, void *));

#endif
