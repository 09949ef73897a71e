// cpp_host: one thread acquires frames at a fixed rate, another one registers the newest. A newer frame cancels a
// registration that is older than the allowed age, so that the answer never falls behind the patient.
//
//   cpp_host SIDE FRAMES PERIOD_MS LARGEST_AGE_MS
//
// Frames are simulated: two discs that move as breathing does. Prints what became of them.
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <mmreg.hpp>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::duration<double, std::milli>;

struct Frame {
  std::vector<float> pixels;
  std::uint64_t number = 0;
  Clock::time_point acquired;
};

// One place for the newest frame: an older one that was not taken is dropped.
class Newest {
 public:
  void put(Frame frame) {
    {
      const std::lock_guard<std::mutex> hold(mutex_);
      dropped_ += frame_.has_value();
      frame_ = std::move(frame);
    }
    ready_.notify_one();
  }
  void close() {
    {
      const std::lock_guard<std::mutex> hold(mutex_);
      closed_ = true;
    }
    ready_.notify_one();
  }
  std::optional<Frame> take() {  // empty: there are no more
    std::unique_lock<std::mutex> hold(mutex_);
    ready_.wait(hold, [this] { return frame_ || closed_; });
    return std::exchange(frame_, std::nullopt);
  }
  int dropped() const { return dropped_; }

 private:
  std::mutex mutex_;
  std::condition_variable ready_;
  std::optional<Frame> frame_;
  bool closed_ = false;
  std::atomic<int> dropped_{0};
};

std::vector<float> simulated(int side, double breath) {
  std::vector<float> pixels(std::size_t(side) * std::size_t(side));
  const double shift = 0.04 * side * std::sin(breath);
  for (int y = 0; y < side; ++y)
    for (int x = 0; x < side; ++x) {
      const double a = (y - 0.5 * side) / side, b = (x - 0.5 * side) / side, c = (y - 0.55 * side - shift) / side;
      pixels[std::size_t(y * side + x)] = float((a * a + b * b < 0.16) + 0.8 * std::exp(-(c * c + b * b) / 0.01));
    }
  return pixels;
}

struct Counts {
  int answers = 0, cancelled = 0;
  double oldest_ms = 0;
};

class Host {
 public:
  Host(int side, double largest_age_ms) : side_(side), largest_age_ms_(largest_age_ms) {
    const std::vector<float> first = simulated(side, 0);
    session_.set_fixed(image(first));
    std::printf("warm-up %.1f ms\n", session_.warm_up(image(first), 3));
  }

  void acquire(int frames, double period_ms) {
    for (int k = 1; k <= frames; ++k) {
      std::this_thread::sleep_for(Milliseconds(period_ms));
      newest_.put({simulated(side_, 0.3 * k), std::uint64_t(k), Clock::now()});
      if (age_ms() > largest_age_ms_) session_.cancel();
    }
    newest_.close();
  }

  Counts register_all() {
    Counts counts;
    std::vector<float> warped(std::size_t(side_) * std::size_t(side_));
    while (const std::optional<Frame> frame = newest_.take()) {
      began_ = frame->acquired;
      working_ = true;
      try {
        const mmreg::Result result =
            session_.register_image(image(frame->pixels).timestamp_ns(frame->number), mmreg::Outputs().warped(warped));
        counts.answers += result.timestamp_ns == frame->number;
        counts.oldest_ms = std::max(counts.oldest_ms, Milliseconds(Clock::now() - frame->acquired).count());
      } catch (const mmreg::Error& error) {
        if (!error.cancelled()) throw;
        ++counts.cancelled;
      }
      working_ = false;
    }
    return counts;
  }

  int dropped() const { return newest_.dropped(); }

 private:
  mmreg::Image image(const std::vector<float>& pixels) const {
    return {pixels.data(), {1, side_, side_}, {1, 0, 0, 0, 0, 1.5, 0, 0, 0, 0, 1.5, 0, 0, 0, 0, 1}};
  }
  double age_ms() const { return working_ ? Milliseconds(Clock::now() - began_.load()).count() : 0; }

  const int side_;
  const double largest_age_ms_;
  const mmreg::Context context_;
  mmreg::Session session_{context_};
  Newest newest_;
  std::atomic<Clock::time_point> began_{};
  std::atomic<bool> working_{false};
};

struct Joined : std::thread {  // is waited for, exceptions or not
  using std::thread::thread;
  ~Joined() { join(); }
};

int run(char** words) {
  const int side = std::atoi(words[1]), frames = std::atoi(words[2]);
  Host host(side, std::atof(words[4]));
  Counts counts;
  {
    const Joined acquisition([&] { host.acquire(frames, std::atof(words[3])); });
    counts = host.register_all();
  }
  std::printf("%d frames: %d registered, %d cancelled, %d dropped; oldest answer %.1f ms\n", frames, counts.answers,
              counts.cancelled, host.dropped(), counts.oldest_ms);
  return counts.answers + counts.cancelled + host.dropped() == frames ? 0 : 1;
}

}  // namespace

int main(int count, char** words) {
  if (count != 5) {
    std::fprintf(stderr, "usage: cpp_host SIDE FRAMES PERIOD_MS LARGEST_AGE_MS\n");
    return 2;
  }
  try {
    return run(words);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "cpp_host: %s\n", error.what());
    return 1;
  }
}
