// The command. Exit status: 0; 2 for arguments or files that cannot be used; 1 for a failure while
// running.

import ArgumentParser

@main
struct Weir: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "weir",
    abstract: "Linux connection tracking, NAT and stateful firewalling outside the kernel.",
    subcommands: subcommands)

  private static var subcommands: [any ParsableCommand.Type] {
    let anywhere: [any ParsableCommand.Type] = [
      ReplayCommand.self, ConntrackCommand.self, BenchCommand.self,
    ]
    #if os(Linux)
      return anywhere + [RunCommand.self, ReloadCommand.self, SnapshotCommand.self]
    #else
      return anywhere
    #endif
  }

  static func main() async {
    do {
      var command = try parseAsRoot()
      if var waiting = command as? any AsyncParsableCommand {
        try await waiting.run()
      } else {
        try command.run()
      }
    } catch let failure as Failure {
      StandardError.say(failure.message)
      Foreign.exit(failure.status)
    } catch {
      let text = fullMessage(for: error)
      if exitCode(for: error).isSuccess {
        print(text)
        Foreign.exit(0)
      }
      StandardError.say(text)
      Foreign.exit(2)
    }
  }
}

/// Ends the command with a line on standard error.
struct Failure: Error {
  var message: String
  var status: Int32

  /// Arguments or files that cannot be used.
  static func unusable(_ message: String) -> Failure { Failure(message: message, status: 2) }
}
