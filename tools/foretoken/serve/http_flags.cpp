// Where to listen and for whom.
#include "serve/options.h"
#include "serve/settings.h"
#include "serve/switch.h"

namespace foretoken::tools {
namespace {

void add_addresses(CLI::App& group, ServeHttpOptions& options) {
  group
      .add_option("--host", options.host,
                  "addresses to listen on, separated by commas; one that ends in .sock is a Unix "
                  "socket")
      ->envname("LLAMA_ARG_HOST")
      ->capture_default_str()
      ->type_name("ADDRESS");
  group.add_option("--port", options.port, "port; 0: any free one, printed when ready")
      ->envname("LLAMA_ARG_PORT")
      ->capture_default_str()
      ->check(CLI::Range(0, 65535))
      ->type_name("N");
  add_switch(group, "--reuse-port", options.reuse_port, "let several servers share the port",
             "LLAMA_ARG_REUSE_PORT");
  group.add_option("--api-prefix", options.prefix, "text in front of every path, for proxies")
      ->envname("LLAMA_ARG_API_PREFIX")
      ->type_name("PATH");
  group.add_option("--ssl-key-file", options.tls_key_file, "private key (PEM): serve https")
      ->envname("LLAMA_ARG_SSL_KEY_FILE")
      ->type_name("FILE");
  group.add_option("--ssl-cert-file", options.tls_certificate_file, "its certificate (PEM)")
      ->envname("LLAMA_ARG_SSL_CERT_FILE")
      ->type_name("FILE");
  group.add_option("--timeout", options.timeout_s, "seconds a connection may be silent (-to)")
      ->envname("LLAMA_ARG_TIMEOUT")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 24))
      ->type_name("S");
  group
      .add_option("--drain-seconds", options.drain_s,
                  "on SIGTERM, how long answers in progress may take to finish")
      ->envname("FORETOKEN_DRAIN_SECONDS")
      ->capture_default_str()
      ->check(CLI::Range(0, 1 << 24))
      ->type_name("S");
}

// A script's --api-key "$KEY" with KEY unset must not open the server to everybody.
std::string complain_of_no_key(const std::string& keys) {
  return split_list(keys, ',').empty() ? "holds no key; leave the flag out to let everybody in"
                                       : "";
}

void add_access(CLI::App& group, ServeHttpOptions& options) {
  group
      .add_option("--api-key", options.api_keys, "keys that clients must send, separated by commas")
      ->envname("LLAMA_API_KEY")
      ->check(complain_of_no_key, "")
      ->type_name("KEYS");
  group.add_option("--api-key-file", options.api_key_file, "the same from a file, one a line")
      ->envname("LLAMA_ARG_API_KEY_FILE")
      ->type_name("FILE");
  group
      .add_option("--cors-origins", options.cors_origins,
                  "web pages that may call the API: *, localhost, or a list")
      ->envname("LLAMA_ARG_CORS_ORIGINS")
      ->capture_default_str()
      ->type_name("LIST");
  group.add_option("--cors-methods", options.cors_methods, "methods that they may use")
      ->envname("LLAMA_ARG_CORS_METHODS")
      ->type_name("LIST");
  group.add_option("--cors-headers", options.cors_headers, "headers that they may send")
      ->envname("LLAMA_ARG_CORS_HEADERS")
      ->type_name("LIST");
  add_switch(group, "--cors-credentials,!--no-cors-credentials", options.cors_credentials,
             "let them send credentials", "LLAMA_ARG_CORS_CREDENTIALS");
}

void add_endpoints(CLI::App& group, ServeHttpOptions& options) {
  add_switch(group, "--metrics", options.metrics, "answer GET /metrics (Prometheus)",
             "LLAMA_ARG_ENDPOINT_METRICS");
  add_switch(group, "--slots,!--no-slots", options.slots, "answer GET /slots",
             "LLAMA_ARG_ENDPOINT_SLOTS");
  add_switch(group, "--props", options.props, "accept POST /props", "LLAMA_ARG_ENDPOINT_PROPS");
  add_switch(group, "--ui,!--no-ui,--webui,!--no-webui", options.page, "serve the chat page at /",
             "LLAMA_ARG_UI");
  group.add_option("--path", options.static_path, "serve the files of this folder instead of it")
      ->envname("LLAMA_ARG_STATIC_PATH")
      ->type_name("DIR");
  group
      .add_option("--sse-ping-interval", options.sse_ping_s,
                  "seconds of silence after which a stream sends a comment; -1: never")
      ->envname("LLAMA_ARG_SSE_PING_INTERVAL")
      ->capture_default_str()
      ->type_name("S");
}

}  // namespace

void add_serve_http_options(CLI::App& app, ServeHttpOptions& options) {
  CLI::App* group = app.add_option_group("Server");
  add_addresses(*group, options);
  add_access(*group, options);
  add_endpoints(*group, options);
}

}  // namespace foretoken::tools
