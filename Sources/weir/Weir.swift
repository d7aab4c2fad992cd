// The command. Exit status: 0; 2 for arguments or files that cannot be used; 1 for a failure while
// running, and where `weir doctor` finds something.

import ArgumentParser
import Dispatch

@main
struct Weir: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "weir",
    abstract: "Linux connection tracking, NAT and stateful firewalling outside the kernel.",
    subcommands: subcommands)

  private static var subcommands: [any ParsableCommand.Type] {
    let anywhere: [any ParsableCommand.Type] = [
      ReplayCommand.self, ConntrackCommand.self, DoctorCommand.self, BenchCommand.self,
    ]
    #if os(Linux)
      return anywhere + [
        RunCommand.self, ReloadCommand.self, TopCommand.self, SnapshotCommand.self,
        IptablesCommand.self,
        Ip6tablesCommand.self, IptablesSaveCommand.self, Ip6tablesSaveCommand.self,
        IptablesRestoreCommand.self, Ip6tablesRestoreCommand.self,
      ]
    #else
      return anywhere
    #endif
  }

  static func main() {
    end {
      var command = try parseAsRoot()
      guard let waiting = command as? any AsyncParsableCommand else { return try command.run() }
      #if os(Linux)
        // While this is the only thread, so that it holds for all that are to come.
        try (waiting as? RunCommand)?.giveUpPrivileges()
      #endif
      finish()
    }
  }

  /// Runs the command, one that waits, on other threads, and ends the process.
  private static func finish() -> Never {
    Task {
      let result: Result<Void, any Error>
      do {
        // Read again, since a command cannot be handed from thread to thread.
        if var command = try parseAsRoot() as? any AsyncParsableCommand { try await command.run() }
        result = .success(())
      } catch {
        result = .failure(error)
      }
      end { try result.get() }
      Foreign.exit(0)
    }
    dispatchMain()
  }

  /// Runs `body` and, where it fails, ends the process with what went wrong.
  private static func end(_ body: () throws -> Void) {
    do {
      try body()
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
