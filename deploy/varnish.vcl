# Varnish (7 or newer) as the CDN of a bucket that `agent-releases publish` writes, with an edge for what a bucket cannot answer.
# Other caches and CDNs have other words for the same rules.
#
# Who answers:
#   the bucket   GET and HEAD of static documents, whose path ends in `.json`, from the bucket's `public/`; they ignore a query
#   the edge     everything else: /v2/*/download*, /internal/v1/*/downloads/*, /api/*, /artifacts/*, every address that takes
#                a query (lists, latest, version), other methods. And what the bucket has no document for (404, 403), or does
#                not answer at all: the edge's errors are those of the contract, and what asks for credentials is the edge's
#
# What is kept: documents of the bucket, as long as their Cache-Control says (a minute; tiles of the history a year), one copy
# of each, whatever Host, query, cookies or token came with the request. They are public: what requires access lies in
# `private/`, and nothing but `public/` may be readable here. Of the edge's answers nothing is kept, and nothing is
# changed.
#
# Headers that a bucket cannot store, and which are set here: CORS, `X-Content-Type-Options`, `Vary`, `ETag` (the first 32
# digits of the SHA-256 that `publish` stores as `x-amz-meta-sha256`), `X-Release-Yanked` (stored as `x-amz-meta-yanked`), and
# of V1 `Deprecation`, `Sunset` and `Link`. The store's own headers are taken away.
#
# To use it, fill in the first three parts below. The bucket lets anyone read `public/*` (a bucket policy, or an identity
# `anonymous`), and nothing else. The edge has a folder that `agent-releases follow` keeps like the bucket. Start Varnish with
#   varnishd -f varnish.vcl -p http_gzip_support=off -p http_req_hdr_len=20k -p http_req_size=64k -p http_max_hdr=128
# so that it leaves `Accept-Encoding` to the edge, and lets it refuse what is too long in its own words. Documents are sent as the
# bucket has them; where bytes matter more than strong tags, compress them in front of this.
#
# Purge: `publish` knows every address that changes; this makes a CDN forget them at once:
#   agent-releases publish s3://BUCKET --purge 'xargs -I{} curl -fsS -o /dev/null -X PURGE http://127.0.0.1:6081{}'

vcl 4.1;

import std;

# 1. Where the two are. Varnish speaks no TLS to backends: put a proxy before a store that speaks nothing else.

backend bucket {
    .host = "127.0.0.1";
    .port = "8333";
    .host_header = "127.0.0.1:8333";
}

backend edge {
    .host = "127.0.0.1";
    .port = "8080";
}

# 2. The path of `public/` in the store: the bucket's name, and the prefix if there is one.

sub name_the_folder {
    set req.http.X-Folder = "/site/public";
}

# 3. What the catalog says of V1's end: `deprecated_on` in seconds since 1970, `sunset_on`, `successor_docs`. Leave out what
# the catalog leaves out.

sub tell_of_the_end_of_v1 {
    set resp.http.Deprecation = "@1772323200";
    set resp.http.Sunset = "Thu, 31 Dec 2026 00:00:00 GMT";
    set resp.http.Link = resp.http.Link + {", <https://docs.example.com/agent-releases>; rel="deprecation""};
}

# Who may purge. A proxy for TLS on this machine makes everybody one of them: let it refuse the method PURGE.

acl publishers {
    "127.0.0.1";
    "::1";
}

# Nothing of what follows has to be changed.

sub vcl_recv {
    unset req.http.X-Folder;
    unset req.http.X-Document;
    if (req.method == "PURGE" && client.ip ~ publishers) {
        call name_the_folder;
        set req.http.X-Document = req.http.X-Folder + regsub(req.url, "\?.*", "");
        return (purge);
    }
    if (req.restarts == 0 && (req.method == "GET" || req.method == "HEAD")
        && req.url ~ "^(/[A-Za-z0-9][A-Za-z0-9._-]*)+\.json(\?.*)?$" && req.url !~ "^(/api/|/artifacts/|/v2/[^?]*/download/)"
        && req.url !~ "%(?![0-9A-Fa-f]{2})" && !req.http.Content-Length && !req.http.Transfer-Encoding) {
        call name_the_folder;
        set req.http.X-Document = req.http.X-Folder + regsub(req.url, "\?.*", "");
        set req.backend_hint = bucket;
        return (hash);
    }
    set req.backend_hint = edge;
    # The edge refuses bodies without reading them; Varnish would wait for them.
    if (req.http.Transfer-Encoding || (req.http.Content-Length && req.http.Content-Length != "0")) {
        return (pipe);
    }
    return (pass);
}

sub vcl_hash {
    hash_data(req.http.X-Document);
    return (lookup);
}

# To the bucket: the document, and nothing of what the client sent but that.

sub vcl_backend_fetch {
    if (bereq.http.X-Document) {
        set bereq.url = bereq.http.X-Document;
        unset bereq.http.Authorization;
        unset bereq.http.Cookie;
        unset bereq.http.Accept-Encoding;
    }
    unset bereq.http.X-Document;
    unset bereq.http.X-Folder;
    return (fetch);
}

sub vcl_backend_response {
    if (bereq.backend == bucket) {
        # Old copies are not shown (must-revalidate), but kept to be asked about.
        set beresp.grace = 0s;
        set beresp.keep = 1h;
        if (beresp.status != 200) {
            set beresp.ttl = 1s;
            set beresp.uncacheable = true;
        }
    }
    return (deliver);
}

sub vcl_backend_error {
    call say_that_it_is_unavailable;
    return (deliver);
}

sub say_that_it_is_unavailable {
    set beresp.status = 503;
    set beresp.http.Content-Type = "application/json";
    set beresp.http.Cache-Control = "no-store";
    set beresp.http.Retry-After = "5";
    set beresp.body = {"{"error":{"code":"unavailable","message":"Service unavailable","details":{}}}"} + {"
"};
}

sub vcl_deliver {
    # Parts are only sent of what the edge sends in parts.
    unset req.http.Range;
    unset resp.http.Via;
    unset resp.http.X-Varnish;
    if (!req.http.X-Document) {
        unset resp.http.Age;
        return (deliver);
    }
    # The edge is asked. A document without its hash is not one of `publish`.
    if (resp.status != 200 || !resp.http.x-amz-meta-sha256) {
        return (restart);
    }
    call name_its_headers;
    call compare_tags;
    return (deliver);
}

sub name_its_headers {
    set resp.http.ETag = {"""} + regsub(resp.http.x-amz-meta-sha256, "^(.{32}).*$", "\1") + {"""};
    set resp.http.Vary = "Accept-Encoding";
    set resp.http.X-Content-Type-Options = "nosniff";
    set resp.http.Access-Control-Allow-Origin = "*";
    set resp.http.Access-Control-Expose-Headers =
        "ETag, Link, X-Checksum-SHA256, X-Release-Snapshot, X-Release-Yanked, Deprecation, Sunset";
    if (resp.http.x-amz-meta-yanked) {
        set resp.http.X-Release-Yanked = resp.http.x-amz-meta-yanked;
    }
    if (req.url ~ "^/internal/v1/agent/") {
        # The twin in V2: that of downloads/links.json is latest.json, all others have the same names.
        set req.http.X-Twin = regsub(regsub(req.url, "\?.*", ""), "^/internal/v1/agent/(releases/)?", "");
        set req.http.X-Twin = regsub(req.http.X-Twin, "^downloads/links\.json$", "latest.json");
        set resp.http.Link = "</v2/agent-releases/" + req.http.X-Twin + {">; rel="successor-version""};
        call tell_of_the_end_of_v1;
    }
    unset resp.http.x-amz-meta-sha256;
    unset resp.http.x-amz-meta-yanked;
    unset resp.http.x-amz-request-id;
    unset resp.http.x-amz-id-2;
    unset resp.http.Seaweed-X-Amz-Etag;
    unset resp.http.Seaweed-X-Amz-Owner;
    unset resp.http.Last-Modified;
    unset resp.http.Accept-Ranges;
    unset resp.http.Server;
}

# Varnish compares with one tag; a client may send several, or `*`.

sub compare_tags {
    unset req.http.If-Modified-Since;
    if (req.http.If-None-Match) {
        std.collect(req.http.If-None-Match);
        if (req.http.If-None-Match ~ "^\s*\*\s*$" || std.strstr(req.http.If-None-Match, resp.http.ETag)) {
            set req.http.If-None-Match = resp.http.ETag;
            unset resp.http.Content-Type;
        } else {
            unset req.http.If-None-Match;
        }
    }
}
