// TLS: the same server behind OpenSSL, with certificates made here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <future>

#include "base/error.h"
#include "http/test_server.h"

namespace foretoken::http {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

template <class T>
using Owned = std::unique_ptr<T, void (*)(T*)>;

/// A new key and a certificate for it, signed by itself, as two PEM files.
void make_certificate(const std::string& key_file, const std::string& certificate_file) {
  const Owned<EVP_PKEY> key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  const Owned<X509> certificate(X509_new(), &X509_free);
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
  X509_set_pubkey(certificate.get(), key.get());
  X509_NAME* name = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
  X509_set_issuer_name(certificate.get(), name);
  X509_sign(certificate.get(), key.get(), EVP_sha256());
  const Owned<BIO> key_out(BIO_new_file(key_file.c_str(), "w"), [](BIO* b) { BIO_free(b); });
  PEM_write_bio_PrivateKey(key_out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  const Owned<BIO> out(BIO_new_file(certificate_file.c_str(), "w"), [](BIO* b) { BIO_free(b); });
  PEM_write_bio_X509(out.get(), certificate.get());
}

/// RawClient's sentences, said over TLS.
class TlsClient {
 public:
  explicit TlsClient(int port, int max_version = 0)
      : client_(port), context_(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free) {
    if (max_version != 0) SSL_CTX_set_max_proto_version(context_.get(), max_version);
    // Old versions need old ciphers, if only to be refused for the right reason.
    SSL_CTX_set_security_level(context_.get(), 0);
    ssl_ = SSL_new(context_.get());
    SSL_set_fd(ssl_, client_.fd());
    const timeval patience{.tv_sec = 20, .tv_usec = 0};
    ::setsockopt(client_.fd(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;
  ~TlsClient() { SSL_free(ssl_); }

  bool connect() { return SSL_connect(ssl_) == 1; }
  std::string version() const { return SSL_get_version(ssl_); }
  void send(std::string_view bytes) {
    SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()));
  }
  /// Reads until `text` was received, or the end; returns and forgets everything received.
  std::string receive_until(std::string_view text) {
    std::string out;
    char buffer[65536];
    std::size_t searched = 0;
    while (out.find(text, searched) == std::string::npos) {
      searched = out.size() - std::min(out.size(), text.size());
      const int n = SSL_read(ssl_, buffer, sizeof buffer);
      if (n <= 0) {
        ended_well_ = SSL_get_error(ssl_, n) == SSL_ERROR_ZERO_RETURN;
        break;
      }
      out.append(buffer, static_cast<std::size_t>(n));
    }
    return out;
  }
  bool ended_well() const { return ended_well_; }
  void hang_up() { client_.close(); }

 private:
  RawClient client_;
  Owned<SSL_CTX> context_;
  SSL* ssl_ = nullptr;
  bool ended_well_ = false;
};

class Tls : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder_);
    make_certificate(folder_ + "/a.key", folder_ + "/a.crt");
  }
  void TearDown() override { fs::remove_all(folder_); }
  ServerOptions options() const {
    return {.tls_key_file = folder_ + "/a.key", .tls_certificate_file = folder_ + "/a.crt"};
  }
  Router router() {
    Router out;
    out.add("POST", "/echo", [](const ExchangePtr& exchange) {
      exchange->respond(text_response(exchange->request().body));
    });
    out.add("GET", "/keep", [this](const ExchangePtr& exchange) { kept_.set_value(exchange); });
    return out;
  }
  std::string error_of(const ServerOptions& options) {
    try {
      const Server server(options, router());
    } catch (const RequestError& error) {
      return error.what();
    }
    return "no error";
  }
  std::promise<ExchangePtr> kept_;
  const std::string folder_ =
      testing::TempDir() + "ft_tls_" + std::to_string(static_cast<long>(::getpid()));
};

std::string post(std::string_view body, std::string_view fields = "") {
  return "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n" + std::string(fields) + "\r\n" + std::string(body);
}

TEST_F(Tls, AnswersAndKeepsAlive) {
  TestServer server(router(), options());
  EXPECT_THAT(server->urls().front(), testing::StartsWith("https://"));
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsClient client(server->port(), version);
    ASSERT_TRUE(client.connect());
    EXPECT_EQ(client.version(), version == TLS1_2_VERSION ? "TLSv1.2" : "TLSv1.3");
    for (int i = 0; i < 3; ++i) {
      client.send(post("number " + std::to_string(i)));
      EXPECT_THAT(client.receive_until("number " + std::to_string(i)), HasSubstr("200 OK"));
    }
  }
}

TEST_F(Tls, CarriesMegabytesBothWays) {
  TestServer server(router(), options());
  TlsClient client(server->port());
  ASSERT_TRUE(client.connect());
  const std::string body = std::string(std::size_t{3} << 20, 'm') + "END";
  client.send(post(body));
  EXPECT_THAT(client.receive_until("mEND").size(), testing::Gt(body.size()));
}

TEST_F(Tls, SaysGoodbye) {
  TestServer server(router(), options());
  TlsClient client(server->port());
  ASSERT_TRUE(client.connect());
  client.send(post("x", "Connection: close\r\n"));
  client.receive_until("never");
  EXPECT_TRUE(client.ended_well()) << "a close_notify, so that nothing can be cut off unseen";
}

TEST_F(Tls, NoticesClientsThatLeaveAStream) {
  TestServer server(router(), options());
  TlsClient client(server->port());
  ASSERT_TRUE(client.connect());
  client.send("GET /keep HTTP/1.1\r\nHost: x\r\n\r\n");
  const ExchangePtr exchange = kept_.get_future().get();
  std::promise<void> closed;
  exchange->on_close([&] { closed.set_value(); });
  exchange->begin_stream({});
  exchange->write("data: 1\n\n");
  client.receive_until("data: 1\n\n");
  client.hang_up();
  EXPECT_EQ(closed.get_future().wait_for(RawClient::kPatience), std::future_status::ready);
}

TEST_F(Tls, RefusesOldVersions) {
  TestServer server(router(), options());
  TlsClient client(server->port(), TLS1_1_VERSION);
  EXPECT_FALSE(client.connect());
}

TEST_F(Tls, ClosesOnThoseWhoDoNotSpeakIt) {
  TestServer server(router(), options());
  RawClient plain = server.client();
  plain.send(post("x"));
  EXPECT_TRUE(plain.receive_to_end());
  EXPECT_THAT(plain.received(), testing::Not(HasSubstr("HTTP/1.1 200")));
  TlsClient good(server->port());
  EXPECT_TRUE(good.connect());
}

TEST_F(Tls, GivesUpOnHandshakesThatDoNotEnd) {
  ServerOptions impatient = options();
  impatient.header_timeout = std::chrono::seconds(1);
  TestServer server(router(), impatient);
  RawClient silent = server.client();
  EXPECT_TRUE(silent.receive_to_end());
}

TEST_F(Tls, DrainsInTheMiddleOfThings) {
  TestServer server(router(), options());
  RawClient shaking = server.client();
  TlsClient idle(server->port());
  ASSERT_TRUE(idle.connect());
  server->drain(std::chrono::milliseconds(100));
  EXPECT_TRUE(shaking.receive_to_end());
  EXPECT_EQ(server->counts().connections, 0);
}

TEST_F(Tls, SaysWhichFileIsWrong) {
  ServerOptions wrong = options();
  wrong.tls_certificate_file = folder_ + "/missing.crt";
  EXPECT_THAT(error_of(wrong), HasSubstr("missing.crt"));
  wrong = options();
  std::ofstream(folder_ + "/noise.key") << "noise";
  wrong.tls_key_file = folder_ + "/noise.key";
  EXPECT_THAT(error_of(wrong), HasSubstr("noise.key"));
  make_certificate(folder_ + "/b.key", folder_ + "/b.crt");
  wrong = options();
  wrong.tls_key_file = folder_ + "/b.key";
  EXPECT_THAT(error_of(wrong), HasSubstr("key values mismatch"));
  wrong.tls_key_file = "";
  EXPECT_THAT(error_of(wrong), HasSubstr("both"));
}

}  // namespace
}  // namespace foretoken::http
