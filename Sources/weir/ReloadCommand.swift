// `weir reload`: has a running gateway load its rules again.

#if os(Linux)
  import ArgumentParser
  import Gateway
  import TableControl

  struct ReloadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "reload",
      abstract:
        "Have a running gateway load its rules again; a bad ruleset leaves the old one in force.")

    @Option(help: ArgumentHelp("The gateway's control socket.", valueName: "SOCKET"))
    var control = ControlServer.defaultPath

    func run() throws {
      do {
        try GatewayTable(control).reload()
      } catch let error as TableError {
        throw Failure(message: "weir reload: \(error.text)", status: 1)
      }
    }
  }
#endif
