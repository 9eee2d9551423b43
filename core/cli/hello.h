/* hello.h -- what `perilune serve` says when it listens.  See hello.c. */
#ifndef PERILUNE_CLI_HELLO_H
#define PERILUNE_CLI_HELLO_H

#include "base/buf.h"

struct config;
struct perilune;

/* All of it. */
void hello_say(const struct perilune *g, struct buf *out);
/* A command line that asks the gateway on this port something that it answers. */
void hello_write(const struct config *c, int port, struct buf *out);

#endif
