/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finds out how a record is packed. The order of the questions is that of the Kafka binding: a
 * content-type of CloudEvents means structured mode, and ce_ headers beside it are copies that do
 * not count; otherwise ce_ headers mean binary mode; otherwise the body has to speak for itself. A
 * structured event may come without a content-type but with those copies, so in that one case the
 * body is asked as well: data never have a member "specversion" of their own. */
#include "daemon/envelope.h"

#include <ctype.h>
#include <stdint.h>
#include <strings.h>

#define WIRE_PREFIX_BYTES 5 /* 0x00 and a schema id of four bytes */

static const struct attribute {
    struct fp_slice name;
    size_t offset; /* of a slice within the envelope */
} attributes[] = { /* in the order in which producers mostly write them */
#define ATTRIBUTE(text, member) {{text, sizeof text - 1}, offsetof(struct fp_envelope, member)}
    ATTRIBUTE("specversion", specversion),
    ATTRIBUTE("id", id),
    ATTRIBUTE("source", source),
    ATTRIBUTE("type", type),
    ATTRIBUTE("subject", subject),
    ATTRIBUTE("time", time),
    ATTRIBUTE("datacontenttype", data_content_type),
#undef ATTRIBUTE
};
enum { ATTRIBUTES = sizeof attributes / sizeof *attributes };

/* Its index, or ATTRIBUTES; the search begins where the last one is likely to have ended. */
static unsigned find_attribute(struct fp_slice name, unsigned from)
{
    for (unsigned i = 0; i < ATTRIBUTES; i++, from++) {
        from = from < ATTRIBUTES ? from : 0;
        if (fp_slice_equal(attributes[from].name, name))
            return from;
    }
    return ATTRIBUTES;
}

static struct fp_slice *attribute_of(struct fp_envelope *envelope, unsigned index)
{
    return (struct fp_slice *)(void *)((char *)envelope + attributes[index].offset);
}

/* ---- content types --------------------------------------------------------------------------- */

static struct fp_slice trimmed(const char *at, const char *end)
{
    while (at < end && isspace((unsigned char)*at))
        at++;
    while (end > at && isspace((unsigned char)end[-1]))
        end--;
    return (struct fp_slice){.at = at, .len = (uint32_t)(end - at)};
}

static bool same_word(struct fp_slice text, const char *word)
{
    return text.len == strlen(word) && strncasecmp(text.at, word, text.len) == 0;
}

/* True unless a parameter names a charset that is not UTF-8 (or its subset ASCII). */
static bool is_utf8_charset(const char *at, const char *end)
{
    static const char name[] = "charset=";
    const uint32_t length = sizeof name - 1;
    while (at < end) {
        const char *stop = memchr(at, ';', (size_t)(end - at));
        stop = stop ? stop : end;
        struct fp_slice parameter = trimmed(at, stop);
        if (parameter.len >= length && strncasecmp(parameter.at, name, length) == 0) {
            struct fp_slice charset = {parameter.at + length, parameter.len - length};
            if (charset.len >= 2 && charset.at[0] == '"' && charset.at[charset.len - 1] == '"') {
                charset.at++;
                charset.len -= 2;
            }
            if (!same_word(charset, "utf-8") && !same_word(charset, "utf8") &&
                !same_word(charset, "us-ascii"))
                return false;
        }
        at = stop + 1;
    }
    return true;
}

enum fp_content fp_content_of(struct fp_slice content_type)
{
    if (content_type.at == NULL || content_type.len == 0)
        return FP_CONTENT_UNSAID;
    const char *end = content_type.at + content_type.len;
    const char *stop = memchr(content_type.at, ';', content_type.len);
    struct fp_slice media = trimmed(content_type.at, stop ? stop : end);
    if (stop != NULL && !is_utf8_charset(stop + 1, end))
        return FP_CONTENT_OTHER;
    static const char family[] = "application/cloudevents", suffix[] = "+json";
    if (same_word(media, "application/cloudevents+json") || same_word(media, family))
        return FP_CONTENT_CLOUDEVENT;
    if (media.len >= sizeof family - 1 && strncasecmp(media.at, family, sizeof family - 1) == 0)
        return FP_CONTENT_OTHER; /* other formats, and batches */
    struct fp_slice tail = {media.at + media.len - (sizeof suffix - 1), sizeof suffix - 1};
    bool json = same_word(media, "application/json") || same_word(media, "text/json") ||
                (media.len > sizeof suffix - 1 && same_word(tail, suffix));
    return json ? FP_CONTENT_JSON : FP_CONTENT_OTHER;
}

/* ---- headers --------------------------------------------------------------------------------- */

static enum fp_status read_content_type(const struct fp_record *record,
                                        struct fp_envelope *envelope, struct fp_error *err)
{
    bool seen = false;
    for (size_t i = 0; i < record->header_count; i++) {
        const struct fp_header *header = &record->headers[i];
        if (strcasecmp(header->name, "content-type") != 0 || header->value == NULL)
            continue;
        if (seen)
            return fp_fail(err, FP_REJECT, "bad_content_type", "content-type",
                           "the header content-type is given twice; send it once");
        seen = true;
        struct fp_slice text = {header->value, (uint32_t)header->len};
        envelope->content = header->len > UINT16_MAX ? FP_CONTENT_OTHER : fp_content_of(text);
    }
    return FP_OK;
}

/* Header values are bytes of any kind; attributes must be text that PostgreSQL can hold. */
static enum fp_status check_header(const struct fp_header *header, bool again, struct fp_error *err)
{
    if (again)
        return fp_fail(err, FP_REJECT, "duplicate_key", header->name,
                       "the header is given twice; which one counts is not defined");
    if (header->value != NULL && memchr(header->value, 0, header->len) != NULL)
        return fp_fail(err, FP_REJECT, "nul_in_string", header->name,
                       "the header holds a NUL byte, which cannot be stored as text");
    if (header->value != NULL && !fp_json_valid_utf8(header->value, header->len))
        return fp_fail(err, FP_REJECT, "bad_utf8", header->name, "the header is not valid UTF-8");
    return FP_OK;
}

static enum fp_status read_ce_headers(const struct fp_record *record, struct fp_envelope *envelope,
                                      struct fp_error *err)
{
    unsigned seen = 0, from = 0;
    for (size_t i = 0; i < record->header_count; i++) {
        const struct fp_header *header = &record->headers[i];
        if (strncmp(header->name, "ce_", 3) != 0)
            continue;
        unsigned index = find_attribute(fp_slice_of(header->name + 3), from);
        if (index == ATTRIBUTES)
            continue;
        enum fp_status status = check_header(header, (seen >> index & 1) != 0, err);
        if (status != FP_OK)
            return status;
        seen |= 1U << index;
        from = index + 1;
        if (header->value != NULL)
            *attribute_of(envelope, index) = (struct fp_slice){
                header->value, header->len > UINT32_MAX ? UINT32_MAX : (uint32_t)header->len};
    }
    /* one of the required attributes is enough: what is missing will be named */
    envelope->binary = envelope->specversion.at || envelope->id.at || envelope->source.at ||
                       envelope->type.at;
    return FP_OK;
}

enum fp_status fp_envelope_open(const struct fp_record *record, struct fp_envelope *envelope,
                                struct fp_error *err)
{
    memset(envelope, 0, sizeof *envelope);
    envelope->body = record->value;
    envelope->len = record->len;
    if (envelope->len >= WIRE_PREFIX_BYTES && envelope->body[0] == 0) {
        envelope->body += WIRE_PREFIX_BYTES;
        envelope->len -= WIRE_PREFIX_BYTES;
    }
    if (record->header_count == 0)
        return FP_OK;
    enum fp_status status = read_content_type(record, envelope, err);
    if (status == FP_OK && envelope->content != FP_CONTENT_CLOUDEVENT)
        status = read_ce_headers(record, envelope, err);
    return status;
}

/* ---- body ------------------------------------------------------------------------------------ */

static enum fp_status read_member(const struct fp_json_node *node, unsigned index,
                                  struct fp_envelope *envelope, struct fp_error *err)
{
    if (node->type == FP_JSON_NULL)
        return FP_OK;
    if (node->type != FP_JSON_STRING)
        return fp_fail(err, FP_REJECT, "type_mismatch", attributes[index].name.at,
                       "%s must be a string", attributes[index].name.at);
    *attribute_of(envelope, index) = node->text;
    return FP_OK;
}

static enum fp_status read_members(const struct fp_json_node *nodes, struct fp_envelope *envelope,
                                   struct fp_error *err)
{
    static const struct fp_slice data = {"data", 4};
    unsigned from = 0;
    for (uint32_t i = 1; i < nodes[0].next; i = nodes[i].next) {
        if (fp_slice_equal(nodes[i].key, data)) {
            envelope->has_data = nodes[i].type != FP_JSON_NULL;
            envelope->data = i;
            continue;
        }
        unsigned index = find_attribute(nodes[i].key, from);
        if (index == ATTRIBUTES)
            continue; /* an extension */
        enum fp_status status = read_member(&nodes[i], index, envelope, err);
        if (status != FP_OK)
            return status;
        from = index + 1;
    }
    return FP_OK;
}

enum fp_status fp_envelope_read(const struct fp_json_node *nodes, struct fp_envelope *envelope,
                                struct fp_error *err)
{
    if (envelope->binary && envelope->content == FP_CONTENT_UNSAID &&
        fp_json_member(nodes, 0, "specversion") != 0) {
        envelope->binary = false;
        for (unsigned i = 0; i < ATTRIBUTES; i++)
            *attribute_of(envelope, i) = (struct fp_slice){0};
    }
    if (envelope->binary) {
        envelope->has_data = true;
        envelope->data = 0;
        return FP_OK;
    }
    if (nodes[0].type != FP_JSON_OBJECT)
        return fp_fail(err, FP_REJECT, "not_an_object", "",
                       "a message is one JSON object with id, source, type and data");
    return read_members(nodes, envelope, err);
}
