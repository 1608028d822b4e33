// Copyright The otelcol-amplitude Authors
// SPDX-License-Identifier: Apache-2.0

// Command kafka is a Kafka broker for one machine, to try and to test the layouts of scale-out with: kfake, which speaks the
// protocol of Kafka as franz-go's own tests need it. It is no server for production. With -read it prints what a topic holds.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func main() {
	address := flag.String("address", "127.0.0.1:9092", "loopback address to listen on")
	topic := flag.String("topic", "exposures", "a topic to create at startup")
	partitions := flag.Uint("partitions", 12, "number of partitions of the topic")
	directory := flag.String("dir", "", "a directory that keeps messages and offsets across restarts; empty keeps them in memory")
	reads := flag.Bool("read", false, "print the current messages of the topic, one line of JSON each, and exit")
	flag.Parse()
	var err error
	if *reads {
		err = read(os.Stdout, *address, *topic)
	} else {
		err = serve(*address, *topic, *partitions, *directory)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "kafka:", err)
		os.Exit(1)
	}
}

func serve(address, topic string, partitions uint, directory string) error {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("-address: %w", err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return fmt.Errorf("-address: port: %w", err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("-address: %s is not a loopback address, and this broker has no authentication", host)
	}
	if partitions == 0 || partitions > 1000 {
		return errors.New("-partitions: 1 to 1000")
	}
	options := []kfake.Opt{
		kfake.NumBrokers(1), kfake.Ports(int(port)), kfake.SeedTopics(int32(partitions), topic),
		kfake.GroupMinSessionTimeout(time.Second),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) { return net.Listen(network, address) }),
	}
	if directory != "" {
		options = append(options, kfake.DataDir(directory))
	}
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		return err
	}
	defer cluster.Close()
	fmt.Printf("Kafka on %s, topic %s with %d partitions\n", address, topic, partitions)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	<-stop
	return nil
}

// read prints the messages of a topic; those of a partition are in order.
func read(to io.Writer, address, topic string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	left, err := ends(ctx, client, topic)
	if err != nil {
		return err
	}
	lines := json.NewEncoder(to)
	for len(left) > 0 {
		fetched := client.PollFetches(ctx)
		if err := fetched.Err(); err != nil {
			return err
		}
		for _, message := range fetched.Records() {
			err := lines.Encode(map[string]any{
				"partition": message.Partition, "offset": message.Offset, "key": string(message.Key), "value": message.Value,
			})
			if err != nil {
				return err
			}
			if message.Offset+1 >= left[message.Partition] {
				delete(left, message.Partition)
			}
		}
	}
	return nil
}

// ends returns the end offsets of each nonempty partition.
func ends(ctx context.Context, client *kgo.Client, topic string) (map[int32]int64, error) {
	name := kmsg.NewMetadataRequestTopic()
	name.Topic = &topic
	about := kmsg.NewPtrMetadataRequest()
	about.Topics = append(about.Topics, name)
	metadata, err := about.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	wanted := kmsg.NewListOffsetsRequestTopic()
	wanted.Topic = topic
	for _, partition := range metadata.Topics[0].Partitions {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp = partition.Partition, -1 // the end
		wanted.Partitions = append(wanted.Partitions, p)
	}
	request := kmsg.NewPtrListOffsetsRequest()
	request.ReplicaID = -1
	request.Topics = append(request.Topics, wanted)
	answer, err := request.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	found := map[int32]int64{}
	for _, partition := range answer.Topics[0].Partitions {
		if partition.Offset > 0 {
			found[partition.Partition] = partition.Offset
		}
	}
	return found, nil
}
