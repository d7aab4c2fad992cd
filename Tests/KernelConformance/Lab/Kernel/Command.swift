// Runs the programs that build a router and tell what it is: ip, nft, iptables-restore, sysctl.

#if os(Linux)
  /// A program that failed, with what it said.
  struct CommandError: Error, CustomStringConvertible {
    var command: String
    var output: String
    var description: String { "\(command): \(output)" }
  }

  enum Command {
    /// Runs a program in the network namespace of this thread, waits for it, and gives what it printed.
    ///
    /// - Parameter input: no more than a pipe holds, 64 KiB: it is written before anyone reads.
    @discardableResult
    static func run(_ words: [String], input: String = "", mayFail: Bool = false) throws -> String {
      let (given, toGive) = try System.pipe()
      let (printed, toPrint) = try System.pipe()
      let (complaints, toComplain) = try System.pipe()
      try System.write(Array(input.utf8), to: toGive)
      toGive.close()
      let process = try System.spawn(
        words, standard: [given.number, toPrint.number, toComplain.number])
      given.close()
      toPrint.close()
      toComplain.close()
      let output = try System.readAll(printed)
      let errors = try System.readAll(complaints)
      let status = System.wait(process)
      if status != 0 && !mayFail {
        throw CommandError(
          command: words.joined(separator: " "), output: String(decoding: errors, as: UTF8.self))
      }
      return String(decoding: output, as: UTF8.self)
    }

    /// Whether a program is in the path.
    static func exists(_ name: String) -> Bool {
      System.searchPath.contains { System.exists("\($0)/\(name)") }
    }
  }
#endif
