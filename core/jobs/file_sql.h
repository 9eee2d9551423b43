/* file_sql.h -- all SQL of the file of jobs: its schema and the statements that are prepared once. */
#ifndef PERILUNE_JOBS_FILE_SQL_H
#define PERILUNE_JOBS_FILE_SQL_H

#define FILE_VERSION     1
#define FILE_APPLICATION 0x504a4f42 /* "PJOB" */

/* jobs: what changes, and what is listed, in small rows.  asks, results: what is large and written once; apart, since
 * a row is rewritten whole with each change.  Times are of the steady clock, but for created, not_before, expires_ms,
 * started and ended.  state: an enum job_state; at, idem, webhook: NULL when there is none. */
#define FILE_SCHEMA \
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;" \
    "CREATE TABLE jobs(key INTEGER PRIMARY KEY, token INTEGER NOT NULL, state INTEGER NOT NULL, tenant TEXT NOT NULL," \
    " queue TEXT NOT NULL, rank INTEGER NOT NULL, function TEXT, path TEXT, webhook TEXT, idem TEXT, tries INTEGER," \
    " max_tries INTEGER, stopping INTEGER, lease INTEGER, due INTEGER, expires INTEGER, at INTEGER, created INTEGER," \
    " not_before INTEGER, expires_ms INTEGER, started INTEGER, ended INTEGER, keep INTEGER, progress BLOB," \
    " last_event INTEGER, event_bytes INTEGER, hooked INTEGER, result_status INTEGER, result_type TEXT, error BLOB);" \
    "CREATE INDEX jobs_ready ON jobs(rank, queue, tenant, key, state) WHERE state = 0;" \
    "CREATE INDEX jobs_running ON jobs(queue, tenant, state) WHERE state = 1;" \
    "CREATE INDEX jobs_state ON jobs(state, tenant);" \
    "CREATE INDEX jobs_at ON jobs(at) WHERE at IS NOT NULL;" \
    "CREATE UNIQUE INDEX jobs_idem ON jobs(tenant, idem) WHERE idem IS NOT NULL;" \
    "CREATE TABLE asks(key INTEGER PRIMARY KEY, headers BLOB, body BLOB);" \
    "CREATE TABLE results(key INTEGER PRIMARY KEY, body BLOB);" \
    "CREATE TABLE events(job INTEGER, number INTEGER, name TEXT, data BLOB, PRIMARY KEY(job, number)) WITHOUT ROWID;" \
    "CREATE TABLE hooks(number INTEGER PRIMARY KEY AUTOINCREMENT, job INTEGER NOT NULL, token INTEGER NOT NULL," \
    " state INTEGER NOT NULL, url TEXT, lease INTEGER, tries INTEGER, created INTEGER, at INTEGER," \
    " last_status INTEGER, log BLOB);" \
    "CREATE INDEX hooks_at ON hooks(at) WHERE at IS NOT NULL;" \
    "CREATE INDEX hooks_job ON hooks(job);" \
    "CREATE TABLE counts(name TEXT PRIMARY KEY, n0, n1, n2, n3, n4) WITHOUT ROWID;"

/* ORDER read_row() of file_table.c */
#define FILE_ROW \
    "key, token, state, tenant, queue, rank, function, path, webhook, idem, tries, max_tries, stopping, lease, due," \
    " expires, at, created, not_before, expires_ms, started, ended, keep, progress, last_event, event_bytes, hooked," \
    " result_status, result_type, error"

#define FILE_OF_STATE(state, bits) \
    "SELECT key FROM (SELECT key FROM jobs WHERE state = " state " AND tenant = ?1 AND key < ?2 AND (?4 & " bits ") " \
    "ORDER BY key DESC LIMIT ?3)"

/* What counts should say.  state % 5: that of a job that waits is 5, and it is queued. */
#define FILE_BY_STATUS \
    "sum(state % 5 = 0), sum(state = 1), sum(state = 2), sum(state = 3), sum(state = 4) FROM jobs "
#define FILE_COUNTED \
    "SELECT 'q' || queue, " FILE_BY_STATUS "GROUP BY queue UNION ALL SELECT 't' || tenant, " FILE_BY_STATUS \
    "GROUP BY tenant"

#define FILE_HOOK "number, job, token, state, url, lease, tries, created, at, last_status, log"

/* LIST without a tenant is an operator's: it looks at so many at most. */
#define FILE_LIST_MOST "100000"

#define FILE_SQL(XX) \
    XX(BEGIN, "BEGIN") \
    XX(BEGIN_WRITE, "BEGIN IMMEDIATE") \
    XX(COMMIT, "COMMIT") \
    XX(ROLLBACK, "ROLLBACK") \
    XX(DATA_VERSION, "PRAGMA data_version") \
    XX(PAGES, "PRAGMA page_count") \
    XX(FREE_PAGES, "PRAGMA freelist_count") \
    XX(META_GET, "SELECT value FROM meta WHERE name = ?1") \
    XX(META_SET, "INSERT OR REPLACE INTO meta VALUES(?1, ?2)") \
    XX(LEASES_END, "UPDATE jobs SET at = 1 WHERE state = 1") \
    XX(HOOK_LEASES_END, "UPDATE hooks SET at = 1 WHERE state = 1") \
    XX(INSERT, "INSERT INTO jobs(" FILE_ROW ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0, ?11, 0, 0, ?12," \
               " ?13, ?14, ?15, ?16, ?17, 0, 0, ?18, NULL, 0, 0, 0, 0, NULL, NULL)") \
    XX(INSERT_ASK, "INSERT INTO asks VALUES(?1, ?2, ?3)") \
    XX(FIND, "SELECT " FILE_ROW " FROM jobs WHERE key = ?1") \
    XX(FIND_KEY, "SELECT " FILE_ROW " FROM jobs WHERE tenant = ?1 AND idem = ?2 AND idem IS NOT NULL") \
    XX(ASK, "SELECT headers, body FROM asks WHERE key = ?1") \
    XX(RESULT, "SELECT body FROM results WHERE key = ?1") \
    XX(UPDATE, "UPDATE jobs SET state = ?2, tries = ?3, stopping = ?4, lease = ?5, due = ?6, expires = ?7, at = ?8," \
               " started = ?9, ended = ?10, hooked = ?11, result_status = ?12, result_type = ?13, error = ?14," \
               " keep = ?15" \
               " WHERE key = ?1") \
    XX(BEAT, "UPDATE jobs SET at = ?2 WHERE key = ?1") \
    XX(INSERT_RESULT, "INSERT OR REPLACE INTO results VALUES(?1, ?2)") \
    XX(APPEND, "INSERT INTO events VALUES(?1, ?2, ?3, ?4)") \
    XX(APPENDED, "UPDATE jobs SET last_event = ?2, event_bytes = ?3 WHERE key = ?1") \
    XX(PROGRESS, "UPDATE jobs SET progress = ?2 WHERE key = ?1") \
    XX(EVENTS, "SELECT number, name, data FROM events WHERE job = ?1 AND number > ?2 ORDER BY number LIMIT ?3") \
    XX(LIST, "SELECT " FILE_ROW " FROM jobs WHERE key IN (" \
             FILE_OF_STATE("0", "1") " UNION ALL " FILE_OF_STATE("5", "1") " UNION ALL " FILE_OF_STATE("1", "2") \
             " UNION ALL " FILE_OF_STATE("2", "4") " UNION ALL " FILE_OF_STATE("3", "8") " UNION ALL " \
             FILE_OF_STATE("4", "16") ") ORDER BY key DESC LIMIT ?3") \
    XX(LIST_ALL, "SELECT * FROM (SELECT " FILE_ROW " FROM jobs WHERE key < ?2 ORDER BY key DESC" \
                 " LIMIT " FILE_LIST_MOST ") WHERE ?4 & (1 << (state % 5)) LIMIT ?3") \
    XX(DUE, "SELECT " FILE_ROW " FROM jobs WHERE at IS NOT NULL AND at <= ?1 ORDER BY at LIMIT 1") \
    XX(NEXT, "SELECT min(at) FROM jobs WHERE at IS NOT NULL") \
    XX(LANE, "SELECT rank, queue, tenant FROM jobs INDEXED BY jobs_ready WHERE state = 0 AND rank = ?1" \
             " AND queue = ?2 AND tenant > ?3 ORDER BY rank, queue, tenant LIMIT 1") \
    XX(LANE_QUEUE, "SELECT rank, queue, tenant FROM jobs INDEXED BY jobs_ready WHERE state = 0 AND rank = ?1" \
                   " AND queue > ?2 ORDER BY rank, queue, tenant LIMIT 1") \
    XX(LANE_RANK, "SELECT rank, queue, tenant FROM jobs INDEXED BY jobs_ready WHERE state = 0 AND rank > ?1" \
                  " ORDER BY rank, queue, tenant LIMIT 1") \
    XX(FIRST, "SELECT " FILE_ROW " FROM jobs INDEXED BY jobs_ready WHERE state = 0 AND rank = ?1" \
              " AND queue = ?2 AND tenant = ?3 ORDER BY key LIMIT 1") \
    XX(RUNNING, "SELECT queue, tenant, count(*) FROM jobs INDEXED BY jobs_running WHERE state = 1" \
                " GROUP BY queue, tenant LIMIT ?1") \
    XX(FORGET_EVENTS, "DELETE FROM events WHERE job = ?1 AND number IN" \
                      " (SELECT number FROM events WHERE job = ?1 ORDER BY number LIMIT ?2)") \
    XX(FORGET_RESULT, "DELETE FROM results WHERE key = ?1") \
    XX(FORGET_ASK, "DELETE FROM asks WHERE key = ?1") \
    XX(FORGET_HOOKS, "DELETE FROM hooks WHERE job = ?1") \
    XX(FORGET, "DELETE FROM jobs WHERE key = ?1") \
    XX(NAMED_TIMES, "SELECT " FILE_ROW " FROM jobs NOT INDEXED WHERE at IS NOT NULL AND state IN (0, 5) AND tries = 0" \
                    " AND key > ?1 ORDER BY key LIMIT 1") \
    XX(HOOK_ADD, "INSERT INTO hooks(job, token, state, url, lease, tries, created, at, last_status, log)" \
                 " VALUES(?1, ?2, 0, ?3, 0, 0, ?4, ?5, 0, NULL)") \
    XX(HOOK_DUE, "SELECT " FILE_HOOK " FROM hooks WHERE at IS NOT NULL AND at <= ?1 ORDER BY at LIMIT 1") \
    XX(HOOK_NEXT, "SELECT min(at) FROM hooks WHERE at IS NOT NULL AND at > ?1") \
    XX(HOOK_FIND, "SELECT " FILE_HOOK " FROM hooks WHERE number = ?1") \
    XX(HOOK_UPDATE, "UPDATE hooks SET state = ?2, lease = ?3, tries = ?4, at = ?5, last_status = ?6, log = ?7" \
                    " WHERE number = ?1") \
    XX(HOOKS, "SELECT " FILE_HOOK " FROM hooks WHERE job = ?1 ORDER BY number LIMIT ?2") \
    XX(HOOKS_OPEN, "SELECT count(*) FROM hooks WHERE at IS NOT NULL") \
    XX(TENANT_BYTES, "SELECT total(body + headers + event_bytes + answer + 500) FROM (SELECT" \
                     " ifnull(length(a.body), 0) AS body, ifnull(length(a.headers), 0) AS headers, event_bytes," \
                     " ifnull(length(r.body), 0) AS answer FROM jobs AS j LEFT JOIN asks AS a ON a.key = j.key" \
                     " LEFT JOIN results AS r ON r.key = j.key WHERE j.tenant = ?1 AND j.state IN (0, 1, 2, 3, 4, 5)" \
                     " LIMIT 20000)") \
    XX(COUNT, "SELECT n0, n1, n2, n3, n4 FROM counts WHERE name = ?1") \
    XX(COUNT_ADD, "INSERT INTO counts VALUES(?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT(name) DO UPDATE SET" \
                  " n0 = n0 + excluded.n0, n1 = n1 + excluded.n1, n2 = n2 + excluded.n2, n3 = n3 + excluded.n3," \
                  " n4 = n4 + excluded.n4") \
    XX(COUNT_DROP, "DELETE FROM counts WHERE name = ?1 AND n0 = 0 AND n1 = 0 AND n2 = 0 AND n3 = 0 AND n4 = 0") \
    XX(COUNTS_WRONG, "SELECT count(*) FROM (SELECT * FROM (" FILE_COUNTED " EXCEPT SELECT * FROM counts) UNION ALL" \
                     " SELECT * FROM (SELECT * FROM counts EXCEPT SELECT * FROM (" FILE_COUNTED ")))") \
    XX(COUNTS_CLEAR, "DELETE FROM counts") \
    XX(COUNTS_MAKE, "INSERT INTO counts " FILE_COUNTED) \
    XX(COUNT_QUEUES, "SELECT substr(name, 2), n0, n1, n2, n3, n4, oldest FROM counts LEFT JOIN" \
                     " (SELECT queue, min(key) AS oldest FROM jobs INDEXED BY jobs_ready WHERE state = 0" \
                     " GROUP BY queue) AS r ON r.queue = substr(name, 2) WHERE name >= 'q' AND name < 'r' LIMIT 1000")

#endif
