// A terminal taken over for a while: keys without Enter, a screen of its own, signals as something to wait
// for, so that it is given back as it was whatever ends the program. For `weir top`.

#if os(Linux)
  import CLinux
  import Glibc

  struct Terminal: ~Copyable {
    enum Event: Equatable {
      case key(UInt8)
      /// Its size is another.
      case resized
      /// The program is to end: the signal that said so; 0: the terminal is gone.
      case end(Int32)
    }

    private let before: termios
    private let signals: Int32
    private static let heeded = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH]

    /// Nil where standard input or standard output is no terminal.
    static func open() -> Terminal? {
      var found = termios()
      guard isatty(0) == 1, isatty(1) == 1, unsafe tcgetattr(0, &found) == 0 else { return nil }
      var set = sigset_t()
      unsafe sigemptyset(&set)
      for signal in heeded { unsafe sigaddset(&set, signal) }
      unsafe sigprocmask(SIG_BLOCK, &set, nil)
      let signals = unsafe signalfd(-1, &set, Int32(SFD_CLOEXEC) | Int32(SFD_NONBLOCK))
      return signals < 0 ? nil : Terminal(before: found, signals: signals)
    }

    private init(before: termios, signals: Int32) {
      self.before = before
      self.signals = signals
      take()
    }

    deinit {
      give()
      close(signals)
    }

    private func take() {
      var raw = before
      raw.c_lflag &= ~tcflag_t(ICANON | ECHO)
      unsafe tcsetattr(0, TCSADRAIN, &raw)
      // Another screen, and no cursor on it.
      _ = Foreign.write(Array("\u{1B}[?1049h\u{1B}[?25l".utf8), to: 1)
    }

    private func give() {
      _ = Foreign.write(Array("\u{1B}[?25h\u{1B}[?1049l".utf8), to: 1)
      var cooked = before
      unsafe tcsetattr(0, TCSADRAIN, &cooked)
    }

    /// Columns and lines.
    var size: (columns: Int, lines: Int) {
      var (columns, lines): (UInt32, UInt32) = (0, 0)
      let result = unsafe weir_window_size(1, &columns, &lines)
      guard result == 0, columns > 0, lines > 0 else { return (80, 24) }
      return (Int(columns), Int(lines))
    }

    /// False where the terminal is gone.
    func show(_ lines: [(text: String, isHeading: Bool)]) -> Bool {
      var text = "\u{1B}[H"
      for (number, line) in lines.enumerated() {
        if number > 0 { text += "\r\n" }
        text += line.isHeading ? "\u{1B}[1m\(line.text)\u{1B}[0m" : line.text
        text += "\u{1B}[K"
      }
      return Foreign.write(Array((text + "\u{1B}[J").utf8), to: 1)
    }

    /// The next thing that happens; nil where nothing does for so long.
    func wait(milliseconds: Int) -> Event? {
      var waits = [
        pollfd(fd: 0, events: Int16(POLLIN), revents: 0),
        pollfd(fd: signals, events: Int16(POLLIN), revents: 0),
      ]
      // The kernel reads and writes the array's elements.
      let ready = unsafe poll(&waits, nfds_t(waits.count), Int32(clamping: milliseconds))
      guard ready > 0 else { return nil }
      if waits[1].revents != 0, let event = signalled() { return event }
      guard waits[0].revents != 0 else { return nil }
      var key: UInt8 = 0
      // One byte, into the local.
      let count = unsafe read(0, &key, 1)
      return count == 1 ? .key(key) : .end(0)
    }

    private func signalled() -> Event? {
      var info = signalfd_siginfo()
      let length = MemoryLayout<signalfd_siginfo>.size
      // One record, into the local.
      guard unsafe read(signals, &info, length) == length else { return nil }
      switch Int32(info.ssi_signo) {
      case SIGWINCH: return .resized
      case SIGCONT: return nil
      case SIGTSTP:
        give()
        raise(SIGSTOP)
        take()
        return .resized
      case let number: return .end(number)
      }
    }
  }
#endif
