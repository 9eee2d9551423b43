/* transfer.h -- calls through libcurl. See transfer.c; transfer_ops in call_int.h. */
#ifndef PERILUNE_UPSTREAM_TRANSFER_H
#define PERILUNE_UPSTREAM_TRANSFER_H

#include <curl/curl.h>

/* The `done` of the multi that transfers run on. */
void transfer_done(CURL *easy, CURLcode result);

#endif
