# HTTP/1.1 messages (RFC 9112), as far as a proxy looks into them.
#
# In: text of heads. Out: their lines, headers and how their bodies are framed. Never changes anything.

namespace eval ::message {
    # The head at the beginning of a buffer: empty while it is not whole, an error when it is too long.
    proc whole {text limit} {
        set stop [string first \r\n\r\n $text]
        if {$stop < 0 || $stop > $limit} {
            if {[string length $text] > $limit} { return -code error "a head of more than $limit bytes" }
            return
        }
        return [string range $text 0 [expr {$stop + 3}]]
    }

    # A head's first line and headers.
    proc parse {head} {
        set lines [split [string map {\r\n \n} [string range $head 0 end-4]] \n]
        set headers {}
        foreach line [lrange $lines 1 end] {
            set colon [string first : $line]
            if {[string index $line 0] in {" " "\t"} && [llength $headers]} {
                lset headers end "[lindex $headers end] [string trim $line]"
                continue
            }
            if {$colon < 1} { return -code error "not a header line" }
            lappend headers [string range $line 0 [expr {$colon - 1}]] [string trim [string range $line [expr {$colon + 1}] end] " \t"]
        }
        return [list [lindex $lines 0] $headers]
    }

    # The words of all headers of a name, in lower case.
    proc tokens {headers wanted} {
        set values {}
        foreach {name value} $headers {
            if {[string equal -nocase $name $wanted]} { lappend values {*}[split [string tolower $value] ", "] }
        }
        return $values
    }

    # How a message's body is framed: {none}, {length n}, {chunked} or {close}.
    proc framing {headers otherwise} {
        if {"chunked" in [tokens $headers transfer-encoding]} { return chunked }
        set length [lindex [tokens $headers content-length] 0]
        if {$length ne ""} {
            if {![string is wideinteger -strict $length] || $length < 0} { return -code error "not a content-length" }
            return [list length $length]
        }
        return $otherwise
    }

    # The reason phrase of an answer of the BIG-IP's own.
    proc reason {status} {
        set known {200 OK 201 Created 204 {No Content} 301 {Moved Permanently} 302 Found 400 {Bad Request} 403 Forbidden 404 {Not Found} 500
            {Internal Server Error} 502 {Bad Gateway} 503 {Service Unavailable}}
        if {[dict exists $known $status]} { return [dict get $known $status] }
        return Unknown
    }
}
