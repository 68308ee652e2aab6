/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "daemon/verify_spill.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum fp_status no_memory(struct fp_error *err)
{
    return fp_fail(err, FP_FATAL, "no_memory", "verify", "out of memory");
}

void fp_spill_init(struct fp_spill *spill, size_t held_max)
{
    *spill = (struct fp_spill){.held_max = held_max};
}

static void clear(struct fp_spill_bucket *b)
{
    free(b->at);
    if (b->file)
        fclose(b->file);
    *b = (struct fp_spill_bucket){0};
}

void fp_spill_free(struct fp_spill *spill)
{
    for (int i = 0; i < FP_SPILL_BUCKETS; i++)
        clear(&spill->bucket[i]);
}

/* A file without a name: gone when it is closed, however the process ends. */
static FILE *open_nameless(void)
{
    const char *folder = getenv("TMPDIR");
    char path[512];
    int len = snprintf(path, sizeof path, "%s/flightpath-verify-XXXXXX",
                       folder && *folder ? folder : "/tmp");
    if (len >= (int)sizeof path) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    int fd = mkstemp(path);
    if (fd < 0)
        return NULL;
    unlink(path);
    FILE *file = fdopen(fd, "w+b");
    if (file == NULL)
        close(fd);
    return file;
}

static enum fp_status write_out(struct fp_spill *spill, struct fp_error *err)
{
    for (int i = 0; i < FP_SPILL_BUCKETS; i++) {
        struct fp_spill_bucket *b = &spill->bucket[i];
        if (b->len == 0)
            continue;
        if (b->file == NULL)
            b->file = open_nameless();
        if (b->file == NULL || fwrite(b->at, 1, b->len, b->file) != b->len)
            return fp_fail(err, FP_FATAL, "temporary_file", "TMPDIR",
                           "cannot write a temporary file (%s): set TMPDIR to a folder with room",
                           strerror(errno));
        b->file_len += b->len;
        b->len = 0;
    }
    spill->held = 0;
    return FP_OK;
}

enum fp_status fp_spill_put(struct fp_spill *spill, uint64_t hash, const void *bytes, size_t len,
                            struct fp_error *err)
{
    struct fp_spill_bucket *b = &spill->bucket[hash % FP_SPILL_BUCKETS];
    if (b->capacity - b->len < len) {
        size_t capacity = b->capacity * 2 > b->len + len ? b->capacity * 2 : b->len + len + 4096;
        uint8_t *at = realloc(b->at, capacity);
        if (at == NULL)
            return no_memory(err);
        b->at = at;
        b->capacity = capacity;
    }
    memcpy(b->at + b->len, bytes, len);
    b->len += len;
    spill->held += len;
    return spill->held > spill->held_max ? write_out(spill, err) : FP_OK;
}

enum fp_status fp_spill_take(struct fp_spill *spill, int bucket, uint8_t **bytes, size_t *len,
                             struct fp_error *err)
{
    struct fp_spill_bucket *b = &spill->bucket[bucket];
    size_t total = b->file_len + b->len;
    uint8_t *all = malloc(total ? total : 1);
    if (all == NULL)
        return no_memory(err);
    if (b->file) {
        rewind(b->file);
        if (fread(all, 1, b->file_len, b->file) != b->file_len) {
            free(all);
            return fp_fail(err, FP_FATAL, "temporary_file", "TMPDIR",
                           "cannot read a temporary file back");
        }
    }
    if (b->len)
        memcpy(all + b->file_len, b->at, b->len);
    spill->held -= b->len;
    clear(b);
    *bytes = all;
    *len = total;
    return FP_OK;
}
