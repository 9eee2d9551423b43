/* lib.h -- the C half of the Lua library: one table, perilune.core. See lib.c. */
#ifndef PERILUNE_BRIDGE_LIB_H
#define PERILUNE_BRIDGE_LIB_H

#include <lauxlib.h>
#include <lua.h>

#include "base/buf.h"
#include "base/err.h"

void lib_open(lua_State *L); /* pushes perilune.core [0, +1, e] */

/* Buffers of the state, empty, with what the request may still take as their limit; each
 * valid until it is asked for again.  The first is for decoding one string, the second for
 * building one text. */
struct buf *lib_scratch(lua_State *L);
struct buf *lib_output(lua_State *L);
/* Raises what failed when b did: no memory, or more than the request may have. [0, 0, e] */
void lib_check_buf(lua_State *L, const struct buf *b);

/* The table on top is a JSON array even when it is empty. [0, 0, e] */
void lib_mark_array(lua_State *L);
bool lib_is_array(lua_State *L, int index);

/* A failure as Lua sees it, { code, message, status, retryable, ... }, and back.
 * [0, +1, e]; lib_to_failure reads the value at index (table, string, anything). */
void lib_push_failure(lua_State *L, const struct failure *f);
void lib_to_failure(lua_State *L, int index, struct failure *f);
/* Is it a table as perilune.error makes them? [0, 0, -] */
bool lib_is_failure(lua_State *L, int index);
/* What was thrown, as a text for the log: strings, numbers, tables with code and message. [0, +n, e] */
void lib_push_error(lua_State *L, int index);
#define LIB_ERROR_MAX 4096 /* bytes of it */
/* The string on top, cut to that, with a mark behind it. [-1, +1, e] */
void lib_cut_error(lua_State *L);
/* A string of the table at index t, which it lives as long as; else empty. [0, 0, e] */
struct slice lib_text_field(lua_State *L, int t, const char *key);

/* Raises for a bad name, a control byte in the value, and names that frame messages. */
void lib_check_header(lua_State *L, const char *name, size_t name_len, const char *value,
                      size_t value_len);

/* The field `key`, a number of seconds above 0, in milliseconds; 0 when there is none,
 * or no table at index.  Raises for anything else. */
uint64_t lib_opt_ms(lua_State *L, int table, const char *key);

/* Is s what HTTP calls a token, as names of headers and methods are? */
bool lib_is_token(struct slice s);

/* Makes a type of userdata that Lua can hold and do nothing with; gc frees what is in it. [0, 0, e] */
void lib_open_owned(lua_State *L, const char *type, lua_CFunction gc);
/* The same, with methods. [0, 0, e] */
void lib_open_object(lua_State *L, const char *type, lua_CFunction gc, const luaL_Reg *methods);

/* Lower-case hex of the SHA-256 of s. */
void lib_sha256(struct slice s, char hex[65]);
/* perilune.log(level, text, fields), arguments from `at` on; id may be NULL. */
void lib_log(lua_State *L, int at, const char *id);

struct response;
struct usage;
/* The handle of r, when one is alive. [0, +1|0, e] */
bool lib_push_handle(lua_State *L, struct response *r);
/* Parks the task until the first event of r is here, its end, or its failure; core.result() then has res, or nil and
 * the failure.  op_check() comes first.  Takes the share of r. */
int lib_wait_response(lua_State *L, struct response *r);
/* The environment of the handle at index, its own. [0, +1, e] */
void lib_handle_env(lua_State *L, int index);
/* {prompt_tokens=, completion_tokens=, total_tokens=, cached_tokens=} [0, +1, e] */
void lib_push_usage(lua_State *L, const struct usage *u);
/* What of the tokens is told besides, of the table at t. [0, 0, e] */
void lib_read_usage_details(lua_State *L, int t, struct usage *u);

/* Prompt tokens of the request at index, as req:tokens() counts them. [0, 0, e] */
double lib_request_tokens(lua_State *L, int index);

/* Functions of other files, registered by lib.c. */
int l_spawn(lua_State *L);
int l_eval_arguments(lua_State *L);
int l_eval_code(lua_State *L);
int l_eval_entry(lua_State *L);
int l_eval_give(lua_State *L);
int l_host_function(lua_State *L);
int l_host_names(lua_State *L);
int l_request_note(lua_State *L);
int l_value_set(lua_State *L);
int l_base64_encode(lua_State *L);
int l_base64_decode(lua_State *L);
int l_url_encode(lua_State *L);
int l_url_decode(lua_State *L);
int l_hmac_sha256(lua_State *L);
int l_date(lua_State *L);
int l_fields(lua_State *L);
int l_sleep(lua_State *L);
int l_call(lua_State *L);
int l_begun(lua_State *L);
int l_latch(lua_State *L);
int l_latch_set(lua_State *L);
int l_latch_wait(lua_State *L);
int l_compose(lua_State *L);
int l_compose_text(lua_State *L);
int l_compose_call(lua_State *L);
int l_compose_reason(lua_State *L);
int l_compose_count(lua_State *L);
int l_compose_partial(lua_State *L);
int l_compose_pipe(lua_State *L);
int l_fetch(lua_State *L);
int l_ask(lua_State *L);
int l_served(lua_State *L);
int l_span(lua_State *L);
int l_respond(lua_State *L);
int l_new_request(lua_State *L);
int l_is_chat(lua_State *L);
int l_admit(lua_State *L);
int l_of_job(lua_State *L);
int l_of_sample(lua_State *L);
int l_is_live(lua_State *L);
int l_known_upstreams(lua_State *L);
int l_request(lua_State *L);
int l_fresh_stores(lua_State *L);
int l_credit_earn(lua_State *L);
int l_credit_spend(lua_State *L);
int l_play(lua_State *L);
int l_prompt_seen(lua_State *L);
int l_scripted(lua_State *L);
int l_scripted_join(lua_State *L);
int l_serve(lua_State *L);
int l_shared(lua_State *L);
int l_memo_get(lua_State *L);
int l_memo_set(lua_State *L);
int l_gate_new(lua_State *L);
int l_gate_enter(lua_State *L);
int l_gate_saturation(lua_State *L);
int l_gate_stats(lua_State *L);
int l_cache_new(lua_State *L);
int l_cache_note(lua_State *L);
int l_cache_lookup(lua_State *L);
int l_cache_key(lua_State *L);
int l_cache_pass(lua_State *L);
int l_cache_has_offsets(lua_State *L);
int l_cache_stale(lua_State *L);
int l_cache_far(lua_State *L);
int l_cache_record(lua_State *L);
int l_cache_keep_failure(lua_State *L);
int l_cache_get(lua_State *L);
int l_cache_set(lua_State *L);
int l_cache_delete(lua_State *L);
int l_cache_invalidate(lua_State *L);
int l_cache_stats(lua_State *L);
int l_cache_tenant(lua_State *L);
int l_cache_refresh(lua_State *L);
int l_limit_new(lua_State *L);
int l_limit_price(lua_State *L);
int l_limit_enter(lua_State *L);
int l_limit_leave(lua_State *L);
int l_limit_pause(lua_State *L);
int l_limit_share(lua_State *L);
int l_limit_take(lua_State *L);
int l_near_new(lua_State *L);
int l_near_threshold(lua_State *L);
int l_near_question(lua_State *L);
int l_near_value_question(lua_State *L);
int l_near_find(lua_State *L);
int l_near_guard(lua_State *L);
int l_near_widen(lua_State *L);
int l_near_feedback(lua_State *L);
int l_near_shadow(lua_State *L);
int l_health(lua_State *L);
int l_rests(lua_State *L);
int l_guard_calls(lua_State *L);
int l_embed(lua_State *L);
int l_after(lua_State *L);
int l_after_drop(lua_State *L);
int l_after_keep(lua_State *L);
int l_batch(lua_State *L);
int l_batch_submit(lua_State *L);
int l_batch_asks(lua_State *L);
int l_embeddings_form(lua_State *L);
int l_embeddings_join(lua_State *L);
int l_embeddings_answers(lua_State *L);
int l_embeddings_vectors(lua_State *L);
int l_learn_open(lua_State *L);
int l_learn_about(lua_State *L);
int l_learn_route(lua_State *L);
int l_learn_label(lua_State *L);
int l_intents_new(lua_State *L);
int l_intents_match(lua_State *L);
int l_tally(lua_State *L);
int l_job_entry(lua_State *L);
int l_job_progress(lua_State *L);
int l_jobs_cancel(lua_State *L);
int l_jobs_get(lua_State *L);
int l_jobs_submit(lua_State *L);
int l_trial(lua_State *L);
int l_capture(lua_State *L);
int l_record_whole(lua_State *L);
int l_logprob_meter(lua_State *L);
int l_logprob_mean(lua_State *L);
int l_coalesce(lua_State *L);
int l_prefixes(lua_State *L);
int l_tokens(lua_State *L);
int l_truncate(lua_State *L);
int l_message_tokens(lua_State *L);
int l_tokenizers(lua_State *L);
int l_request_tokens(lua_State *L);
int l_json_view(lua_State *L);
int l_signal(lua_State *L);
int l_signal_tell(lua_State *L);
int l_signal_wait(lua_State *L);
int l_text_spans(lua_State *L);
int l_text_sentences(lua_State *L);
int l_text_chunks(lua_State *L);
int l_text_rank(lua_State *L);
int l_text_extract(lua_State *L);
int l_text_dedupe(lua_State *L);
int l_text_minify_json(lua_State *L);
int l_text_json_lines(lua_State *L);
int l_text_strip_ansi(lua_State *L);
int l_text_elide_base64(lua_State *L);
int l_json_stream(lua_State *L);
int l_sse(lua_State *L);
int l_trim_rules(lua_State *L);
int l_trim(lua_State *L);

void request_open(lua_State *L);
void response_open_lua(lua_State *L, int core);
void shared_open(lua_State *L);
void cache_open(lua_State *L, int core);
void limit_open(lua_State *L, int core);
void near_open(lua_State *L);
void gate_open(lua_State *L, int core);
void compose_open(lua_State *L, int core);
void host_open(lua_State *L, int core);
void latch_open(lua_State *L);
void batch_open(lua_State *L);
void job_task_open(lua_State *L);
void signal_open(lua_State *L);
void learn_open_lua(lua_State *L);
void logprob_open(lua_State *L);
void embeddings_open(lua_State *L);
void json_stream_open(lua_State *L);
void sse_open(lua_State *L);
void trim_open(lua_State *L);

#endif
