// TCP sockets that wait for no peer forever, and stop by a signal.
#pragma once
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

struct Stopped {};  // thrown when a signal ends the node

struct PeerError : std::runtime_error {  // the peer has left, or does not go on
  using std::runtime_error::runtime_error;
};

// A pipe that becomes readable, and stays so, when the node is to stop: a signal cannot come too early to be seen.
class StopPipe {
 public:
  StopPipe() {
    if (pipe(ends_) != 0) throw std::runtime_error("no pipe");
  }
  void write_from_handler() const {
    const char byte = 0;
    [[maybe_unused]] const auto written = write(ends_[1], &byte, 1);
  }
  int readable() const { return ends_[0]; }

 private:
  int ends_[2];
};

class Socket {
 public:
  Socket(int descriptor, const StopPipe& stop) : descriptor_(descriptor), stop_(&stop) {
    if (descriptor < 0) throw std::runtime_error(std::string("no socket: ") + std::strerror(errno));
  }
  Socket(Socket&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)), stop_(other.stop_) {}
  Socket& operator=(Socket&&) = delete;
  ~Socket() {
    if (descriptor_ >= 0) close(descriptor_);
  }

  int descriptor() const { return descriptor_; }

  // Returns whether it is ready for `events`; false after `timeout_ms`, where -1 is none.
  bool wait(short events, int timeout_ms) const {
    for (;;) {
      pollfd either[2] = {{descriptor_, events, 0}, {stop_->readable(), POLLIN, 0}};
      const int ready = poll(either, 2, timeout_ms);
      if (either[1].revents) throw Stopped();
      if (ready > 0) return true;
      if (ready == 0) return false;
      if (errno != EINTR) throw std::runtime_error(std::string("poll: ") + std::strerror(errno));
    }
  }

 private:
  int descriptor_;
  const StopPipe* stop_;
};

class Connection {
 public:
  Connection(Socket socket, int stall_ms) : socket_(std::move(socket)), stall_ms_(stall_ms) {
    const int yes = 1;
    setsockopt(socket_.descriptor(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  }

  // Fills `to`, which is the begin of a message: returns false if the peer has left instead.
  bool read_first(std::uint8_t* to, std::size_t bytes) const {
    socket_.wait(POLLIN, -1);
    const std::size_t got = read_some(to, bytes);
    if (got == 0) return false;
    read_rest(to + got, bytes - got);
    return true;
  }

  // Appends bytes to `to`. Memory is taken as they come, so a header that announces more than there is costs none.
  void read_body(std::vector<std::uint8_t>& to, std::size_t bytes) const {
    constexpr std::size_t most = 1 << 20;
    while (to.size() < bytes) {
      const std::size_t at = to.size();
      to.resize(std::min(bytes, at + most));
      read_rest(to.data() + at, to.size() - at);
    }
  }

  void send_all(const void* data, std::size_t bytes) const {
    const auto* from = static_cast<const std::uint8_t*>(data);
    while (bytes > 0) {
      if (!socket_.wait(POLLOUT, stall_ms_)) throw PeerError("it does not read its answers");
      const ssize_t sent = send(socket_.descriptor(), from, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (sent < 0) throw PeerError(std::strerror(errno));
      from += sent;
      bytes -= std::size_t(sent);
    }
  }

 private:
  std::size_t read_some(std::uint8_t* to, std::size_t bytes) const {
    for (;;) {
      const ssize_t got = recv(socket_.descriptor(), to, bytes, 0);
      if (got >= 0) return std::size_t(got);
      if (errno != EINTR) throw PeerError(std::strerror(errno));
    }
  }
  void read_rest(std::uint8_t* to, std::size_t bytes) const {
    while (bytes > 0) {
      if (!socket_.wait(POLLIN, stall_ms_)) throw PeerError("it stopped within a message");
      const std::size_t got = read_some(to, bytes);
      if (got == 0) throw PeerError("it left within a message");
      to += got;
      bytes -= got;
    }
  }

  Socket socket_;
  int stall_ms_;
};

class Listener {
 public:
  Listener(const std::string& address, int port, const StopPipe& stop)
      : stop_(stop), socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), stop) {
    sockaddr_in at = {};
    at.sin_family = AF_INET;
    at.sin_port = htons(std::uint16_t(port));
    if (inet_pton(AF_INET, address.c_str(), &at.sin_addr) != 1)
      throw std::invalid_argument("--address must be an IPv4 address; found " + address);
    const int yes = 1;
    setsockopt(socket_.descriptor(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(socket_.descriptor(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0 ||
        listen(socket_.descriptor(), 8) != 0)
      throw std::runtime_error(address + ":" + std::to_string(port) + ": " + std::strerror(errno));
  }

  int port() const {
    sockaddr_in at = {};
    socklen_t bytes = sizeof at;
    getsockname(socket_.descriptor(), reinterpret_cast<sockaddr*>(&at), &bytes);
    return ntohs(at.sin_port);
  }

  Connection accept_next(int stall_ms) const {
    for (;;) {
      socket_.wait(POLLIN, -1);
      const int accepted = accept4(socket_.descriptor(), nullptr, nullptr, SOCK_CLOEXEC);
      if (accepted >= 0) return {Socket(accepted, stop_), stall_ms};  // else the peer has left already
    }
  }

 private:
  const StopPipe& stop_;
  Socket socket_;
};
