// A server that speaks Kafka's protocol, for the tests of the Kafka driver: kfake of franz-go.
//
//	kfake -port N [-data DIR] [-user NAME -password TEXT [-acls]] [-cert FILE -key FILE] [-brokers N]
//
// -data keeps topics, offsets and groups over restarts, also those that a signal causes.  -acls: NAME may use the
// topics that begin with "ours" and every group, and may make no topic; "ours.jobs", "ours.dead" and "ours.n1" are
// there.  -max-bytes: of a message.
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// kfake says that it speaks version 1 of the SASL handshake only, Kafka says 0 and 1, and librdkafka looks for a 0
// before it uses 1.  What kfake says of itself is asked of another one, which wants no password, and told with a 0.
//
// And a wrong password is the end of the connection there; Kafka says what is wrong.
func likeKafka(c *kfake.Cluster, user, password string) error {
	other, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		return err
	}
	defer other.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(other.ListenAddrs()...))
	if err != nil {
		return err
	}
	defer client.Close()
	said, err := kmsg.NewPtrApiVersionsRequest().RequestWith(context.Background(), client)
	if err != nil {
		return err
	}
	for i := range said.ApiKeys {
		if said.ApiKeys[i].ApiKey == 17 {
			said.ApiKeys[i].MinVersion = 0
		}
	}
	c.ControlKey(18, func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		answer := *said
		answer.SetVersion(req.GetVersion())
		if req.GetVersion() > 3 {
			return nil, nil, false
		}
		return &answer, nil, true
	})
	c.ControlKey(36, func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if string(req.(*kmsg.SASLAuthenticateRequest).SASLAuthBytes) == "\x00"+user+"\x00"+password {
			return nil, nil, false
		}
		answer := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		answer.ErrorCode = 58
		return answer, nil, true
	})
	return nil
}

func main() {
	port := flag.Int("port", 0, "")
	data := flag.String("data", "", "")
	user := flag.String("user", "", "")
	password := flag.String("password", "", "")
	acls := flag.Bool("acls", false, "")
	cert := flag.String("cert", "", "")
	key := flag.String("key", "", "")
	brokers := flag.Int("brokers", 1, "")
	maxBytes := flag.Int("max-bytes", 0, "")
	flag.Parse()

	ports := []int{}
	for i := 0; i < *brokers; i++ {
		ports = append(ports, *port+i)
	}
	opts := []kfake.Opt{kfake.NumBrokers(*brokers), kfake.Ports(ports...)}
	if *data != "" {
		opts = append(opts, kfake.DataDir(*data), kfake.SyncWrites())
	}
	if *user != "" {
		opts = append(opts, kfake.EnableSASL(), kfake.Superuser("PLAIN", "admin", "admin"))
		if *acls {
			opts = append(opts, kfake.EnableACLs(), kfake.SeedTopics(2, "ours.jobs", "ours.dead", "ours.n1"))
			acl := func(kind kmsg.ACLResourceType, name string, op kmsg.ACLOperation) kfake.ACL {
				return kfake.ACL{Resource: kind, Name: name, Pattern: kmsg.ACLResourcePatternTypePrefixed, Operation: op, Allow: true}
			}
			opts = append(opts, kfake.User("PLAIN", *user, *password,
				acl(kmsg.ACLResourceTypeTopic, "ours", kmsg.ACLOperationRead),
				acl(kmsg.ACLResourceTypeTopic, "ours", kmsg.ACLOperationWrite),
				acl(kmsg.ACLResourceTypeTopic, "ours", kmsg.ACLOperationDescribe),
				acl(kmsg.ACLResourceTypeGroup, "ours", kmsg.ACLOperationRead)))
		} else {
			opts = append(opts, kfake.Superuser("PLAIN", *user, *password))
		}
	}
	if *cert != "" {
		pair, err := tls.LoadX509KeyPair(*cert, *key)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		opts = append(opts, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}}))
	}
	if *maxBytes > 0 {
		opts = append(opts, kfake.BrokerConfigs(map[string]string{"message.max.bytes": strconv.Itoa(*maxBytes)}))
	}
	c, err := kfake.NewCluster(opts...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if *user != "" {
		if err := likeKafka(c, *user, *password); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	fmt.Println("kafka on", c.ListenAddrs())
	s := make(chan os.Signal, 1)
	signal.Notify(s, os.Interrupt, syscall.SIGTERM)
	<-s
	c.Close()
}
