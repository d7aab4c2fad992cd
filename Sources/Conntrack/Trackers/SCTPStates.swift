// What each kind of SCTP chunk does to an association's state: one literal table, as for TCP. Learnt
// from RFC 9260 and by asking Linux 6.18.

import Wire

enum SCTPStates {
  private static let no = SCTPState.none
  private static let cl = SCTPState.closed
  private static let cw = SCTPState.cookieWait
  private static let ce = SCTPState.cookieEchoed
  private static let es = SCTPState.established
  private static let ss = SCTPState.shutdownSent
  private static let sr = SCTPState.shutdownReceived
  private static let sa = SCTPState.shutdownAckSent
  private static let hs = SCTPState.heartbeatSent

  private static let columns = 9

  /// One row a kind of chunk, one column a state; NONE stands for invalid.
  private static let original: InlineArray<99, SCTPState> = [
    // NONE CLOSED C_WAIT C_ECHO ESTAB S_SENT S_RECD S_ACK HB_SENT
    cl, cl, cw, ce, es, cl, cl, sa, cw,  // INIT
    cl, cl, cw, ce, es, ss, sr, sa, cl,  // INIT ACK
    no, cl, cl, cl, cl, cl, cl, cl, cl,  // ABORT
    cl, cl, cw, ce, ss, ss, sr, sa, cl,  // SHUTDOWN
    sa, cl, cw, ce, es, sa, sa, sa, sa,  // SHUTDOWN ACK
    cl, cl, cw, ce, es, ss, sr, sa, cl,  // ERROR
    cl, cl, ce, ce, es, ss, sr, sa, cl,  // COOKIE ECHO
    cl, cl, cw, es, es, ss, sr, sa, cl,  // COOKIE ACK
    cl, cl, cw, ce, es, ss, sr, cl, cl,  // SHUTDOWN COMPLETE
    hs, cl, cw, ce, es, ss, sr, sa, hs,  // HEARTBEAT
    cl, cl, cw, ce, es, ss, sr, sa, hs,  // HEARTBEAT ACK
  ]

  private static let reply: InlineArray<99, SCTPState> = [
    // NONE CLOSED C_WAIT C_ECHO ESTAB S_SENT S_RECD S_ACK HB_SENT
    no, cl, cw, ce, es, cl, cl, sa, no,  // INIT
    no, cw, cw, ce, es, ss, sr, sa, no,  // INIT ACK
    no, cl, cl, cl, cl, cl, cl, cl, no,  // ABORT
    no, cl, cw, ce, sr, ss, sr, sa, no,  // SHUTDOWN
    no, cl, cw, ce, es, sa, sa, sa, no,  // SHUTDOWN ACK
    no, cl, cw, cl, es, ss, sr, sa, no,  // ERROR
    no, cl, ce, ce, es, ss, sr, sa, no,  // COOKIE ECHO
    no, cl, cw, es, es, ss, sr, sa, no,  // COOKIE ACK
    no, cl, cw, ce, es, ss, sr, cl, no,  // SHUTDOWN COMPLETE
    no, cl, cw, ce, es, ss, sr, sa, hs,  // HEARTBEAT
    no, cl, cw, ce, es, ss, sr, sa, es,  // HEARTBEAT ACK
  ]

  /// The state after a chunk; nil where it makes no sense. Chunks that are not in the table (DATA,
  /// SACK and the like) change nothing, but cannot begin an association either.
  static func next(_ direction: Direction, _ state: SCTPState, _ chunk: UInt8) -> SCTPState? {
    let row: Int
    switch chunk {
    case SCTPChunkType.initiation: row = 0
    case SCTPChunkType.initiationAck: row = 1
    case SCTPChunkType.abort: row = 2
    case SCTPChunkType.shutdown: row = 3
    case SCTPChunkType.shutdownAck: row = 4
    case SCTPChunkType.error: row = 5
    case SCTPChunkType.cookieEcho: row = 6
    case SCTPChunkType.cookieAck: row = 7
    case SCTPChunkType.shutdownComplete: row = 8
    case SCTPChunkType.heartbeat: row = 9
    case SCTPChunkType.heartbeatAck: row = 10
    default: return state == .none ? nil : state
    }
    let cell = row * columns + Int(min(state.rawValue, SCTPState.heartbeatSent.rawValue))
    let state = direction == .original ? original[cell] : reply[cell]
    return state == .none ? nil : state
  }
}
