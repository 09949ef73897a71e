// igtl_node: registers images that come by OpenIGTLink, and answers each with its transform and the warped image.
//
//   igtl_node [--address 127.0.0.1] [--port 18944] [--fixed NAME] [--linear] [--deadline-ms T] [--threads N]
//             [--largest-mb N] [--memory-mb N] [--stall-s S]
//
// The first IMAGE of a connection is the fixed image or, with --fixed, each one of that name. SIGINT and SIGTERM end
// it.
#include <signal.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <mmreg.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "messages.h"
#include "sockets.h"

namespace {

constexpr double kMega = 1 << 20;
constexpr int kLogged = 10;  // refusals of a client; more are counted only

struct Options {
  std::string address = "127.0.0.1", fixed;
  int port = 18944, threads = 0;
  bool linear = false;
  double deadline_ms = 0, largest_mb = 256, memory_mb = 4096, stall_s = 10;
};

// ---- signals

const StopPipe* stop_pipe;
std::atomic<mmreg_session*> running{nullptr};

void stop(int) {
  if (mmreg_session* const session = running) mmreg_session_cancel(session);
  stop_pipe->write_from_handler();
}

void handle_signals() {
  struct sigaction action = {};
  action.sa_handler = stop;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

// Threads that begin meanwhile leave signals to this one, so that no handler runs beside the end of a session.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

// ---- one client

// The session of a client, which knows no images of other clients.
class Client {
 public:
  Client(const Options& options, const mmreg::Context& context, const Connection& connection)
      : options_(options), connection_(connection), session_(open_session(context, options)) {
    running = session_.get();
  }
  ~Client() { running = nullptr; }
  Client(const Client&) = delete;

  void serve() {
    std::uint8_t raw[IGTL_HEADER_SIZE];
    while (connection_.read_first(raw, sizeof raw)) {
      const Header header = read_header(raw);
      try {
        answer(header);
      } catch (const Refusal& refusal) {
        refuse(refusal.code, refusal.what(), header);
        if (refusal.lost) throw PeerError("the connection is closed, since the next message cannot be found");
      } catch (const mmreg::Error& error) {
        refuse(igtl::StatusMessage::STATUS_UNKNOWN_ERROR, error.what() + (" [" + error.code() + "]"), header);
      }
    }
  }

  std::string summary() const {
    return std::to_string(answers_) + " answers, " + std::to_string(refused_) + " refused";
  }

 private:
  static mmreg::Session open_session(const mmreg::Context& context, const Options& options) {
    const SignalsBlocked during;
    auto wanted = mmreg::sized<mmreg_session_options>();
    wanted.space = MMREG_RAS;
    wanted.without_deformation = options.linear;
    return mmreg::Session(context, wanted);
  }

  void answer(const Header& header) {
    check_header(header, std::uint64_t(options_.largest_mb * kMega));
    body_.clear();
    connection_.read_body(body_, std::size_t(header.body_bytes));
    check_crc(header, body_);
    if (header.type != "IMAGE") return;  // there is nothing to answer
    const Picture picture = picture_of(content_of(header, body_));
    if (options_.fixed.empty() ? !fixed_ : header.device == options_.fixed)
      set_fixed(picture, header);
    else
      register_image(picture, header);
  }

  void set_fixed(const Picture& picture, const Header& header) {
    fixed_.reset();
    session_.set_fixed(picture.view());
    fixed_ = picture.header;
    warped_.resize(picture.count());
    send(status_message(igtl::StatusMessage::STATUS_OK, "", "This is the fixed image.", header.timestamp));
  }

  void register_image(const Picture& picture, const Header& header) {
    mmreg::Image moving = picture.view();
    moving.timestamp_ns(header.timestamp);  // comes back as it is; the library does not read it
    const mmreg::Result result = session_.register_image(moving, mmreg::Outputs().warped(warped_),
                                                         mmreg::CallOptions().deadline_ms(options_.deadline_ms));
    ++answers_;
    if (result.degraded)
      send(status_message(igtl::StatusMessage::STATUS_TIME_OUT, "degraded",
                          "The deadline cut the next answer short: it is the best finished stage.",
                          result.timestamp_ns));
    send(transform_message(result.matrix, result.timestamp_ns));
    send(image_message(*fixed_, warped_, result.timestamp_ns));
  }

  void refuse(int code, const std::string& text, const Header& header) {
    if (++refused_ <= kLogged)  // a peer cannot fill the log
      std::fprintf(stderr, "igtl_node: %s: %s\n", printable(header.device).c_str(), text.c_str());
    send(status_message(code, "refused", text, header.timestamp));
  }

  void send(const igtl::MessageBase::Pointer& message) {
    message->Pack();
    connection_.send_all(message->GetPackPointer(), std::size_t(message->GetPackSize()));
  }

  const Options& options_;
  const Connection& connection_;
  mmreg::Session session_;
  std::optional<igtl_image_header> fixed_;
  Bytes body_;
  std::vector<float> warped_;
  int answers_ = 0, refused_ = 0;
};

// ---- the node

void serve(const Options& options, const mmreg::Context& context, const Connection& connection) {
  Client client(options, context, connection);
  std::string end;
  try {
    client.serve();
  } catch (const PeerError& error) {
    end = std::string("; ") + error.what();
  }
  std::printf("client has left: %s%s\n", client.summary().c_str(), end.c_str());
  std::fflush(stdout);
}

void run(const Options& options) {
  const StopPipe pipe;
  stop_pipe = &pipe;
  const Listener listener(options.address, options.port, pipe);
  auto host = mmreg::sized<mmreg_context_options>();
  host.threads = options.threads;
  host.memory_limit_bytes = std::uint64_t(options.memory_mb * kMega);
  const mmreg::Context context(host);
  handle_signals();
  if (options.address.rfind("127.", 0) != 0)
    std::fprintf(stderr, "igtl_node: OpenIGTLink has no encryption and no passwords: serve trusted networks only\n");
  std::printf("listening on %s:%d\n", options.address.c_str(), listener.port());
  std::fflush(stdout);
  try {
    for (;;) serve(options, context, listener.accept_next(int(1000 * options.stall_s)));
  } catch (const Stopped&) {
    std::printf("stopped by a signal\n");
  }
}

// ---- arguments

double number(const std::string& option, const std::string& word, double least, double most) {
  char* end = nullptr;
  const double value = std::strtod(word.c_str(), &end);
  if (word.empty() || *end || !(value >= least && value <= most))
    throw std::invalid_argument(option + " needs a number from " + std::to_string(int(least)) + " to " +
                                std::to_string(int(most)) + "; found " + word);
  return value;
}

void set(Options& out, const std::string& option, const std::string& word) {
  if (option == "--address")
    out.address = word;
  else if (option == "--port")
    out.port = int(number(option, word, 0, 65535));
  else if (option == "--fixed")
    out.fixed = word;
  else if (option == "--deadline-ms")
    out.deadline_ms = number(option, word, 0, 1e6);
  else if (option == "--threads")
    out.threads = int(number(option, word, 0, 1024));
  else if (option == "--largest-mb")
    out.largest_mb = number(option, word, 0, 1e5);
  else if (option == "--memory-mb")
    out.memory_mb = number(option, word, 1, 1e7);
  else if (option == "--stall-s")
    out.stall_s = number(option, word, 0, 1e5);
  else
    throw std::invalid_argument(option + " is unknown");
}

Options parse(const std::vector<std::string>& words) {
  Options out;
  for (std::size_t at = 0; at < words.size(); ++at) {
    if (words[at] == "--linear") {
      out.linear = true;
      continue;
    }
    if (at + 1 == words.size()) throw std::invalid_argument(words[at] + " lacks its value, or is unknown");
    set(out, words[at], words[at + 1]);
    ++at;
  }
  return out;
}

}  // namespace

int main(int count, char** words) {
  try {
    run(parse({words + 1, words + count}));
    return 0;
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr,
                 "igtl_node: %s\nusage: igtl_node [--address A] [--port N] [--fixed NAME] [--linear] [--deadline-ms T] "
                 "[--threads N] [--largest-mb N] [--memory-mb N] [--stall-s S]\n",
                 error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "igtl_node: %s\n", error.what());
    return 1;
  }
}
