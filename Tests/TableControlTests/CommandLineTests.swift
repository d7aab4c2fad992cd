// conntrack's command line: read and refused as conntrack 1.4.7 does. What it refuses was asked of the
// program itself.

import Conntrack
import ConntrackFormat
import Testing

@testable import TableControl

@Suite struct CommandLineTests {
  private func parse(_ line: String, labels: String? = "1 one\n5 five\n") throws
    -> ConntrackCommandLine
  {
    try ConntrackCommandLine(
      line.split(separator: " ").map(String.init),
      labelNames: labels.map { LabelNames(configuration: $0) })
  }

  @Test func formsAreRead() throws {
    #expect(try parse("-L -o extended,id").output.extended)
    #expect(try parse("-L -o xml,id").form == .xml)
    #expect(try parse("-E -o save").form == .save)
    #expect(try parse("-L -o json").form == .json)
    #expect(try parse("-E -e new,destroy").eventMask == [.new, .destroy])
    #expect(try parse("-E -e ALL").eventMask == [.new, .update, .destroy])
    #expect(try parse("-L dying").table == .dying)
    #expect(try parse("-L exp").table == .expect)
    #expect(try parse("-L -z").zeroesCounters)
    #expect(try parse("-E -b 4096").bufferBytes == 4096)
  }

  @Test func wordsAreTakenApartAsGetoptDoes() throws {
    #expect(try parse("-Lp tcp").filter.protocolNumber == 6)
    #expect(try parse("-L --prot tcp").filter.protocolNumber == 6)
    #expect(try parse("-L --orig-s 1.1.1.1").filter.originalSource != nil)
    #expect(try parse("-L -ptcp --dport=80").filter.originalDestinationPort == 80)
    #expect(try parse("-L -p tcp foo").filter.protocolNumber == 6)
    #expect(try parse("-L -- -x").operation == .list)
    #expect(try parse("--dump").operation == .list)
    #expect(try parse("-L -n 8.8.8.8:80").filter.sourceNAT?.port == 80)
    #expect(try parse("-L -n -g").filter.destinationNAT == NATPattern())
  }

  @Test func anUpdateSaysWhatShallBe() throws {
    let line = try parse("-U -s 1.1.1.1 -p tcp --dport 80 -m 6/2 -t 50 -u ASSURED --state CLOSE")
    #expect(line.filter.mark == nil && line.filter.status == nil && line.filter.state == nil)
    #expect(line.filter.originalDestinationPort == 80)
    #expect(line.changes.mark == 6 && line.changes.markMask == 2)
    #expect(line.changes.timeoutSeconds == 50)
    #expect(line.changes.status == .assured)
    #expect(line.changes.protocolState == .tcp(.close))
    #expect(try parse("-U --label-del").changes.deletedLabels == .all)
    #expect(try parse("-U --label-add one,five").changes.addedLabels?[5] == true)
  }

  @Test(arguments: [
    ("-L foo", "unknown type `foo'"),
    ("-L -C", "Invalid commands combination"),
    ("-L --sport 5", "unknown option `--sport'"),
    ("-L --s 1.1.1.1", "unknown option `--s'"),
    ("-L -o", "option `-o' requires an argument"),
    ("-L -o bad", "Bad parameter `bad'"),
    ("-L -p tcp --sport", "option `--sport' requires an argument"),
    ("-E -e FOO", "Bad parameter `FOO'"),
    ("-E -e NEW|DESTROY", "Bad parameter `NEW|DESTROY'"),
    ("-S -p tcp", "Illegal option `--protonum' with this command"),
    ("-p tcp", "Illegal option `--protonum' with this command"),
    ("-C -s 1.1.1.1", "Illegal option `--src' with this command"),
    ("-C -f ipv6", "Illegal option `--family' with this command"),
    ("-S -n", "Illegal option `--src-nat' with this command"),
    ("-C --orig-zone 1", "Illegal option `--orig-zone' with this command"),
    ("-L -e NEW", "Illegal option `--event-mask' with this command"),
    ("-L -b 5", "Illegal option `--buffer-size' with this command"),
    ("-S -o xml", "Illegal option `--output' with this command"),
    ("-E -z", "Illegal option `--zero' with this command"),
    ("-L expect -p tcp -n", "Illegal option `--protonum' with this command"),
    ("-E dying", "Can't do that command with tables `dying' and `unconfirmed'"),
    ("-A expect", "Can't do --add on expectations"),
    ("-L -X", "unknown option `-X'"),
    ("-L -l two", "unknown label 'two'"),
    ("-U -w 5 -m 1", "Illegal option `--zone' with this command"),
    (
      "-I -s 1.1.1.1/24 -d 2.2.2.2 -p udp --sport 1 --dport 2 -t 5",
      "Illegal option `--mask-src' with this command"
    ),
    ("-I -s 1.1.1.1 -d 2.2.2.2", "You need to supply the `--protonum' option for this command"),
    ("-I -p tcp -t 5", "you have to specify `--src' and `--dst'"),
    ("-G -p tcp -r 1.1.1.1", "you have to specify `--reply-src' and `--reply-dst'"),
    ("-G -p udp -s 1.1.1.1 -d 2.2.2.2", "you have to specify `--sport' and `--dport'"),
    (
      "-I -p tcp -t 5 -s 1.1.1.1 -d 2.2.2.2",
      "You need to supply the `--state' option for this command"
    ),
    (
      "-G expect -s 1.1.1.1 -d 2.2.2.2 -p tcp --sport 1 --dport 2",
      "You need to supply the `--reply-port-src' option for this command"
    ),
  ])
  func refusesAsConntrackDoes(_ line: String, _ message: String) {
    let error = #expect(throws: ConntrackArgumentError.self) { try parse(line) }
    #expect(error?.message == message)
  }

  @Test func labelsNeedNames() {
    let error = #expect(throws: ConntrackArgumentError.self) {
      try parse("-L -l one", labels: nil)
    }
    #expect(error?.description.hasPrefix("nfct_labelmap_new: No such file or directory\n") == true)
  }

  @Test func saveStandsAlone() {
    let failure = #expect(throws: ConntrackFailure.self) { try parse("-L -o save,extended") }
    #expect(
      failure?.description
        == "conntrack v1.4.7 (conntrack-tools): cannot combine save output with any other output "
        + "type, use -o save only")
  }

  @Test func filesHoldCommandLines() throws {
    let text = "# made by hand\n-F\n\n-A -s \"1.1.1.1\" -d 2.2.2.2\t-p 99 -t 5\n"
    let lines = try ConntrackCommandLine.lines(of: text, labelNames: nil)
    #expect(lines.map(\.operation) == [.flush, .add])
    let error = #expect(throws: ConntrackArgumentError.self) {
      try ConntrackCommandLine.lines(of: "-F\n-L\n", labelNames: nil)
    }
    #expect(error?.message == "Cannot use command `-L' with --load-file")
  }

  /// Whatever the words, they are read or refused.
  @Test func anyWordsEndWell() {
    var generator = SeededGenerator(seed: 5)
    let pieces =
      "-L -G -D -I -A -U -E -F -C -S -R expect dying -p tcp udp sctp icmp gre 99 -s -d 1.1.1.1 ::1 /24 -n -g "
      + "-j -m 5/7 0x -t -u ASSURED,SEEN -o xml,save json -l one --label-del --sport 80 --state CLOSE "
      + "--mask-src -z -b -e NEW -- - = --=x -pz \u{e9} --tuple-src --orig-vtag -w 1"
    let words = pieces.split(separator: " ").map(String.init)
    for _ in 0..<20_000 {
      let line = (0..<Int(generator.next() % 9)).map { _ in
        words[Int(generator.next() % UInt64(words.count))]
      }
      _ = try? ConntrackCommandLine(line, labelNames: LabelNames(configuration: "1 one"))
    }
  }
}
