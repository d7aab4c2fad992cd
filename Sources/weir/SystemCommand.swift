// What other programs of the machine say of it: for `weir snapshot`, `weir doctor --kernel` and
// `weir top --kernel`.

#if os(Linux)
  import Foundation

  enum SystemCommand {
    enum Obstacle: Error {
      /// There is no program of this name.
      case missing(String)
      case failed
    }

    /// What a command prints: a program's name and words for the shell. What it complains of goes to standard
    /// error.
    static func output(of command: String) throws(Obstacle) -> String {
      let name = String(command.prefix { $0 != " " })
      let folders = ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/local/bin"]
      let path = folders.map { "\($0)/\(name)" }.first {
        FileManager.default.isExecutableFile(atPath: $0)
      }
      guard let path else { throw .missing(name) }
      // The strings live through the call, and the stream is closed below.
      guard let stream = unsafe popen(path + command.dropFirst(name.count), "r") else {
        throw .failed
      }
      var bytes: [UInt8] = []
      var buffer = [UInt8](repeating: 0, count: 1 << 16)
      while true {
        // Into the array's own storage, within its bounds.
        let count = unsafe fread(&buffer, 1, buffer.count, stream)
        if count == 0 { break }
        bytes += buffer.prefix(count)
      }
      guard unsafe pclose(stream) == 0 else { throw .failed }
      return String(decoding: bytes, as: UTF8.self)
    }
  }
#endif
