// The command line of `weir conntrack`: Weir's own options set apart, conntrack's read and refused as
// conntrack 1.4.7 does. What it refuses was asked of the program itself.

import ConntrackFormat
import Testing

@testable import weir

@Suite struct ConntrackArgumentsTests {
  private func parse(_ line: String) throws -> ConntrackArguments {
    try ConntrackArguments(
      line.split(separator: " ").map(String.init), labelNames: LabelNames())
  }

  @Test func ownOptionsStandAnywhere() throws {
    let arguments = try parse(
      "--host DIR -L --capture=a.pcap -p tcp --set a=1 --src-nat --set b=2 --fill-truncated")
    #expect(arguments.command == .list)
    #expect(arguments.capture == "a.pcap")
    #expect(
      arguments.hostWords == ["--host", "DIR", "--set", "a=1", "--set", "b=2", "--fill-truncated"])
    #expect(arguments.filter.protocolNumber == 6)
    #expect(arguments.filter.sourceNAT == NATPattern())
  }

  @Test func formsAreRead() throws {
    #expect(try parse("-L -o extended,id").output.extended)
    #expect(try parse("-L -o xml,id").form == .xml)
    #expect(try parse("-E -o save").form == .save)
    #expect(try parse("-L --procfs").procfs)
    #expect(try parse("-E -e new,destroy").eventMask == [.new, .destroy])
    #expect(try parse("-E -e ALL").eventMask == [.new, .updates, .destroy])
    #expect(try parse("-L dying").table == .dying)
  }

  @Test(arguments: [
    ("-L foo", "unknown type `foo'"),
    ("-L -C", "Invalid commands combination"),
    ("-L --sport 5", "unknown option `--sport'"),
    ("-L -o", "option `-o' requires an argument"),
    ("-L -o bad", "Bad parameter `bad'"),
    ("-L -p tcp --sport", "option `--sport' requires an argument"),
    ("-E -e FOO", "Bad parameter `FOO'"),
    ("-E -e NEW|DESTROY", "Bad parameter `NEW|DESTROY'"),
    ("-L -e", "option `-e' requires an argument"),
    ("-S -p tcp", "Illegal option `--protonum' with this command"),
    ("-C -s 1.1.1.1", "Illegal option `--src' with this command"),
    ("-C -f ipv6", "Illegal option `--family' with this command"),
    ("-S -n", "Illegal option `--src-nat' with this command"),
    ("-C --orig-zone 1", "Illegal option `--orig-zone' with this command"),
    ("-L -e NEW", "Illegal option `--event-mask' with this command"),
    ("-L -b 5", "Illegal option `--buffer-size' with this command"),
    ("-S -o xml", "Illegal option `--output' with this command"),
    ("-E -z", "Illegal option `--zero' with this command"),
    ("-C -z", "Illegal option `--zero' with this command"),
    ("-L expect -p tcp -n", "Illegal option `--protonum' with this command"),
    ("-E dying", "Can't do that command with tables `dying' and `unconfirmed'"),
    ("-L -X", "unknown option `-X'"),
  ])
  func refusesAsConntrackDoes(_ line: String, _ message: String) {
    let error = #expect(throws: ConntrackArgumentError.self) { try parse(line) }
    #expect(error?.message == message)
  }

  @Test func saveStandsAlone() {
    let failure = #expect(throws: Failure.self) { try parse("-L -o save,extended") }
    #expect(failure?.status == 1)
    #expect(
      failure?.message
        == "conntrack v1.4.7 (conntrack-tools): cannot combine save output with any other output "
        + "type, use -o save only")
  }

  @Test func strayWordsArePassedOver() throws {
    #expect(try parse("-L -p tcp foo").filter.protocolNumber == 6)
  }

  @Test func changesAreRefusedInOneLine() {
    for command in ["-D", "-I", "--delete", "-F", "-U", "-G"] {
      let failure = #expect(throws: Failure.self) { try parse(command) }
      #expect(failure?.status == 2)
      #expect(failure?.message.contains("\n") == false)
    }
  }
}
